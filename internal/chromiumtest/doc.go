// Package chromiumtest runs Chromium for tests, headless and with a home of its own. It ends with the test.
package chromiumtest
