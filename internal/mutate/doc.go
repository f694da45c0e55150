// Command mutate shows that the tests notice when a check is gone. Each patch in testdata/mutations removes one check;
// mutate applies them one at a time to a copy of the working tree, runs the tests that the patch names, and reports every
// patch that they pass with.
//
//	go run ./internal/mutate            # all of them
//	go run ./internal/mutate 'token-*'  # those whose names match
//
// A patch is a unified diff below a header:
//
//	Removes: the check of a token's signature
//	Test: ./authcore -run ^TestForgedTokens$
//
//	--- a/authcore/token.go
//	+++ b/authcore/token.go
//	@@ -41,3 +41,2 @@
//	 …
//
// Removes completes the sentence "this patch removes …". Each Test line has the arguments of a go test of one package; there
// may be several, and one that fails is enough. Line numbers do not count: the lines of a hunk must occur exactly once in
// the file, wherever that is. A patch that does not apply, does not build, or names no test is an error, and so is a test
// that fails without any patch.
//
// The exit code is 0 if every patch was noticed, 1 if not, and 2 if the command cannot run.
package main
