// Package walkthrough tests that the documentation is true.
//
// It runs the commands of every walk-through as they are printed, in their order, one page after another on one data
// directory, and compares what they print with what the page shows. It reads every Caddyfile of a page, follows every
// link, and looks for every option.
//
// In a page, a block
//   - ```sh is pasted into a terminal. One that ends with a gateway in the foreground keeps its terminal.
//   - ```text behind it is all that the terminal shows then, but for what goes to standard error.
//   - ```console is a session: a command behind "$", lines to type behind ">", and the answers. Without a command it goes
//     on with the session before; a "$" alone is the prompt that comes back.
//   - ```caddyfile whose first line is "# name" is a file of that name.
//
// "…" stands for any text, and a line of it alone in a session for any lines. Only ports are changed, to some that are free.
package walkthrough
