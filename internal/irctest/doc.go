// Package irctest runs IRC for tests: a server of the test's own on loopback, a WeeChat without a terminal that is told what to
// do and whose logs say what its user would see, and a client that sends exact bytes. It needs ngircd, inspircd,
// weechat-headless and WeeChat's fifo plugin, as Debian's packages ngircd, inspircd, weechat-headless and weechat-plugins
// have them; the services of the first two are not used. ircd-hybrid is unpacked by ./test.sh.
package irctest
