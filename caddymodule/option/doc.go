// Package option describes every option once. A [Table] has a row for each option of a block: its name, its kind, what is
// allowed, its default, and the field that it sets. The same table reads the Caddyfile, with errors at file and line
// ([Block.Read], [Block.TakeOut]), checks values that came as JSON in the same words ([Table.Check]), and fills in defaults
// ([Table.Fill]).
//
// Bounds and defaults are written as an operator writes them, such as "10s" or "64KiB"; errors repeat them so. In JSON, a zero
// value means the default, so it passes every check. A rule over several options stays a function of its module that names the
// option to blame; [Lines.Blame] knows its line.
package option
