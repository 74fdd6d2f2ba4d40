package pan123_test

import (
	"bytes"
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pan123"
	"pan123/internal/emulator"
)

// goCommand runs the go command in a directory.
func goCommand(t *testing.T, dir string, args ...string) {
	t.Helper()
	command := exec.Command("go", args...)
	command.Dir = dir
	// These programs are about themselves, and need not be built in as many ways as the tests are.
	command.Env = append(os.Environ(), "GOEXPERIMENT=")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// TestReadme builds the first program of the README as a stranger would, and runs it.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```go\n(package main\n.*?)```").FindSubmatch(readme)
	if found == nil {
		t.Fatal("the README has no program")
	}
	if lines := bytes.Count(found[1], []byte("\n")); lines > 25 {
		t.Errorf("the program has %d lines", lines)
	}
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), found[1], 0o600); err != nil {
		t.Fatal(err)
	}
	goCommand(t, dir, "mod", "init", "readme")
	goCommand(t, dir, "mod", "edit", "-require", "pan123@v0.0.0", "-replace", "pan123="+here)
	goCommand(t, dir, "vet", ".")
	goCommand(t, dir, "build", "-o", "readme", ".")

	server := emulator.Start(t, "")
	data := make([]byte, 3<<20)
	_, _ = rand.Read(data)
	path := filepath.Join(dir, "film.mkv")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(filepath.Join(dir, "readme"), path, "from the readme")
	command.Env = append(os.Environ(), "PAN123_BASE_URL="+server.URL, "PAN123_ACCESS_TOKEN="+emulator.Token)
	out, err := command.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "file id ") {
		t.Errorf("%v\n%s", err, out)
	}
	if !bytes.Equal(server.Stored("from the readme"), data) {
		t.Error("stored are other bytes")
	}
}

// TestSliceExample sends the slices of a file with the program of examples/go.
func TestSliceExample(t *testing.T) {
	program := filepath.Join(t.TempDir(), "slice")
	goCommand(t, filepath.Join("..", "..", "examples", "go"), "build", "-o", program, ".")
	server := emulator.Start(t, "")
	data := make([]byte, 2*emulator.SliceSize-7)
	_, _ = rand.Read(data)
	path := filepath.Join(t.TempDir(), "film.mkv")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := pan123.NewClient(pan123.Options{BaseURL: server.URL, AccessToken: emulator.Token})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	digests, err := pan123.Hash(t.Context(), pan123.Bytes(data), pan123.HashOptions{})
	if err != nil {
		t.Fatal(err)
	}
	created, err := client.Create(t.Context(), 0, "by slices", digests.ETag, digests.Size)
	if err != nil {
		t.Fatal(err)
	}
	slice := func(token string, args ...string) string {
		command := exec.Command(program, append([]string{created.Servers[0], created.PreuploadID}, args...)...)
		command.Env = append(os.Environ(), "PAN123_ACCESS_TOKEN="+token)
		out, _ := command.CombinedOutput()
		return string(out)
	}
	if out := slice(emulator.Token, "1", path, "0", "1048576"); out != "slice 1 ok\n" {
		t.Error(out)
	}
	tail := path + ".tail"
	if err := os.WriteFile(tail, data[emulator.SliceSize:], 0o600); err != nil {
		t.Fatal(err)
	}
	if out := slice("wrong", "2", tail); !strings.Contains(out, "access_token无效") {
		t.Error(out)
	}
	if out := slice(emulator.Token, "2", tail); out != "slice 2 ok\n" {
		t.Error(out)
	}
	completed, err := client.Complete(t.Context(), created.PreuploadID)
	if err != nil || !completed.Done || !bytes.Equal(server.Stored("by slices"), data) {
		t.Errorf("%+v %v", completed, err)
	}
}
