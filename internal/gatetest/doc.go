// Package gatetest is the rig of chatgate's end-to-end tests: real gateway processes on loopback, an upstream that
// records exact bytes and answers as told, and clients that send exact bytes.
//
// The gateway is the binary that CHATGATE_TEST_GATEWAY names. Without it, each test process builds cmd/chatgate, and
// [Main] in the package's TestMain removes what was built. Test and gateway both have the race detector or both have not,
// and a report of the detector fails the test.
package gatetest
