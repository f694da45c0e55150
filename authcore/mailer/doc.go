// Package mailer tells the owners of accounts by e-mail what the domain has to say to them: it implements
// [authcore.Mailer].
//
// It owns what a message looks like (templates), how it leaves this process (SMTP, or a directory of files) and the queue
// of those that nobody waits for. It decides nothing about accounts, and hands a message to the next mail server and no
// further.
//
// What holds:
//
//   - A message has one recipient, an address in the form of [authcore.ParseEmail], and nothing else of a user's is in
//     its header. In the bodies, what users chose is without control characters, and escaped in HTML.
//   - A link in a message leads to the configured issuer.
//   - Neither a code nor an address is in an error or a log; nor is a password of the mail server.
//   - A message in the queue is sent once, or again after a failure that may pass, until it is too old. Where the answer
//     of a server was lost, it may arrive twice, with one Message-ID.
//   - The queue is bounded, and it is in memory: what a crash leaves in it is gone.
package mailer
