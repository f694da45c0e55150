package walkthrough

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// checkout is the root of the repository.
const checkout = "../../.."

// block is a fenced block of a page.
type block struct {
	page string
	line int    // of its first line of text
	kind string // sh, text, console, caddyfile, …
	text string
}

// pages returns the paths of all pages, from the root of the repository.
func pages(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(checkout + "/docs/*.md")
	if err != nil || len(found) < 10 {
		t.Fatalf("the pages of docs are %q, %v", found, err)
	}
	names := []string{"README.md", "CONTRIBUTING.md"}
	for _, path := range found {
		names = append(names, "docs/"+filepath.Base(path))
	}
	return names
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(checkout, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// divide returns the fenced blocks of a page, and its prose with an empty line for each line of them.
func divide(page, text string) (blocks []block, prose string) {
	var kept strings.Builder
	open := false
	for i, line := range strings.Split(text, "\n") {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && !open:
			blocks = append(blocks, block{page: page, line: i + 2, kind: fence})
		case !isFence && open:
			blocks[len(blocks)-1].text += line + "\n"
		case !isFence:
			kept.WriteString(line)
		}
		kept.WriteByte('\n')
		open = open != isFence
	}
	return blocks, kept.String()
}

func TestDivide(t *testing.T) {
	blocks, prose := divide("page", "one\n```sh\ntwo\n\n```\nthree\n```\nfour\n```\n")
	want := []block{{"page", 3, "sh", "two\n\n"}, {"page", 8, "", "four\n"}}
	if len(blocks) != 2 || blocks[0] != want[0] || blocks[1] != want[1] || prose != "one\n\n\n\n\nthree\n\n\n\n\n" {
		t.Errorf("%+v, %q", blocks, prose)
	}
}
