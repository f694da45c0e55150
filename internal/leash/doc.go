// Package leash runs programs for tests, which end no later than the test's process does, however that ends.
package leash
