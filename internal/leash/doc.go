// Package leash finds and runs programs for tests. They end no later than the test's process does, however that ends.
package leash
