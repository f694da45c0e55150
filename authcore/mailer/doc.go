// Package mailer sends the domain's notices to account owners by e-mail. It implements [authcore.Mailer].
//
// It owns the templates of messages, their transport (SMTP, or a directory of files) and the queue of messages that no
// request waits for. It decides nothing about accounts, and delivers to one configured mail server.
//
// Invariants:
//
//   - A message has one recipient, an address in the form of [authcore.ParseEmail], and no other text of a user in its
//     header. In the bodies, such text has no control characters, and is escaped in HTML.
//   - Every link in a message leads to the configured issuer.
//   - No error and no log contains a code, an address, or the password of the mail server.
//   - A queued message is sent once, and again after a temporary failure until it is too old. If the server's answer is
//     lost, it may arrive twice, with one Message-ID.
//   - The queue is bounded and in memory, so a crash loses it.
//   - Codes wait for no notice: they go first, have a worker of their own, and a part of the queue that notices cannot fill.
package mailer
