//go:build race

package line

// race says that the detector is in this build, and so in the gateways: they take many times the memory, and the time.
const race = true
