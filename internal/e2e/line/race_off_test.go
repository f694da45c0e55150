//go:build !race

package line

const race = false
