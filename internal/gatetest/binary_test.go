package gatetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMain(m *testing.M) { Main(m) }

// A gateway without the race detector would let every race of a test with it pass.
func TestCheckBuild(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := checkBuild(self, Race); err != nil {
		t.Errorf("built alike: %v", err)
	}
	if err := checkBuild(self, !Race); err == nil || !strings.Contains(err.Error(), "build both alike") {
		t.Errorf("built otherwise: %v", err)
	}
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{script, script + ".missing"} {
		if err := checkBuild(file, Race); err == nil || !strings.Contains(err.Error(), binaryVar) {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// The gateway is built as the test is, and is gone when the tests are over.
func TestBuild(t *testing.T) {
	file, err := build()
	if err != nil {
		t.Fatal(err)
	}
	if err := checkBuild(file, Race); err != nil {
		t.Error(err)
	}
	removeBuilt()
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("after the tests: %v", err)
	}
}
