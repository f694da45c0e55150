// Package senders has the modules that say how messages leave: chatgate.mail.off, file and smtp, chatgate.sms.off, file and
// webhook. What such a module has to do is written at [app.MailModule] and [app.SMSModule]; one of another repository needs
// nothing of this package.
//
// A module reads its options, and resolves placeholders and reads files in Provision; what sends is authcore/mailer and
// authcore/texter.
package senders
