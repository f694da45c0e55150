//go:build race

package nodes

// race says that the detector is in this build, and so in the gateways: everything takes many times as long.
const race = true
