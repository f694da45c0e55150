//go:build race

package accounts

// underRace says that the detector is in this build, and so in the gateways: it takes many times the time, some of it at
// random.
const underRace = true
