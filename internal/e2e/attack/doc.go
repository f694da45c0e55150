// Package attack holds the tests of the attack catalogue against real gateway processes. A test is named after its
// row, and asserts on the exact bytes that an upstream got, never on what a gateway says about itself.
package attack
