package texter

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "sms")
	s, err := New(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	texts := []string{"first", "second", "third, é"}
	for _, text := range texts {
		if err := s.Send(t.Context(), theNumber, text); err != nil {
			t.Fatal(err)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != len(texts) {
		t.Fatalf("%d files, %v", len(files), err)
	}
	var got []string
	for _, f := range files {
		raw, err := os.ReadFile(filepath.Join(dir, f.Name()))
		info, err2 := f.Info()
		if err != nil || err2 != nil || info.Mode().Perm() != 0o600 || filepath.Ext(f.Name()) != ".txt" {
			t.Errorf("%s: %v, %v, %v", f.Name(), err, err2, info.Mode())
		}
		got = append(got, string(raw))
	}
	want := []string{}
	for _, text := range texts {
		want = append(want, "To: "+theNumber+"\n\n"+text+"\n")
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if s.Stats() != (Stats{Sent: 3}) {
		t.Errorf("%+v", s.Stats())
	}
}

func TestDirectoryFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hunter2")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{Dir: filepath.Join(file, "sms")})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Send(t.Context(), theNumber, theText)
	if err == nil || strings.Contains(err.Error(), "7400") || strings.Contains(err.Error(), "hunter2") || s.Stats() != (Stats{Failed: 1}) {
		t.Errorf("%v, %+v", err, s.Stats())
	}
}
