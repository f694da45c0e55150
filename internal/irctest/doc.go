// Package irctest runs IRC for tests: an ngIRCd server of the test's own on loopback, a WeeChat without a terminal that is
// told what to do and whose logs say what its user would see, and a client that sends exact bytes. It needs ngircd,
// weechat-headless and WeeChat's fifo plugin, as Debian's packages ngircd, weechat-headless and weechat-plugins have them;
// the service of the first is not used.
package irctest
