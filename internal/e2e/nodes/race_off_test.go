//go:build !race

package nodes

const race = false
