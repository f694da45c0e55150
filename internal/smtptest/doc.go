// Package smtptest is a mail server for tests, on a loopback port that the system chose: it keeps what it is sent, with
// the envelope, and answers as a test says. It stops when the test is over.
package smtptest
