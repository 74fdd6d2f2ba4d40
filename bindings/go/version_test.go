package pan123_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pan123"
	"pan123/internal/scenarios"
)

// oldLibrary is C for a libpan123 that has every function, and says that it does not fit.
func oldLibrary(t *testing.T) (dir string) {
	t.Helper()
	header, err := os.ReadFile(filepath.Join(scenarios.Variable(t, "PAN123_INCLUDE_DIR"), "pan123.h"))
	if err != nil {
		t.Fatal(err)
	}
	code := "const char *pan123_version(void) { return \"0.0.9\"; }\nint pan123_abi_check(unsigned v) { (void)v; return 2; }\n"
	seen := map[string]bool{"pan123_version": true, "pan123_abi_check": true}
	for _, word := range strings.FieldsFunc(string(header), func(r rune) bool { return !strings.ContainsRune(nameLetters, r) }) {
		if strings.HasPrefix(word, "pan123_") && !seen[word] && strings.Contains(string(header), word+"(") {
			seen[word] = true
			code += fmt.Sprintf("void *%s(void) { return 0; }\n", word)
		}
	}
	dir = t.TempDir()
	source := filepath.Join(dir, "old.c")
	if err := os.WriteFile(source, []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	// As a released library has it; the loader ends a program that was linked with one and finds none.
	versions := filepath.Join(dir, "versions")
	if err := os.WriteFile(versions, []byte("PAN123_0_1 { global: pan123_*; local: *; };\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cc := exec.Command("cc", "-shared", "-fPIC", "-Wl,-soname,libpan123.so.0.1", "-Wl,--version-script="+versions,
		"-o", filepath.Join(dir, "libpan123.so.0.1"), source)
	if out, err := cc.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

const nameLetters = "abcdefghijklmnopqrstuvwxyz0123456789_"

// child runs this test program again, as TestChild, with another library path.
func child(t *testing.T, what, libraryPath string) string {
	t.Helper()
	command := exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.v")
	command.Env = append(os.Environ(), "PAN123_TEST_CHILD="+what, "LD_LIBRARY_PATH="+libraryPath)
	out, _ := command.CombinedOutput()
	return string(out)
}

// TestChild is not a test of its own; child runs it.
func TestChild(t *testing.T) {
	if os.Getenv("PAN123_TEST_CHILD") == "" {
		return
	}
	_, err := pan123.NewClient(pan123.Options{AccessToken: "x"})
	fmt.Println("client:", err)
	_, err = pan123.Hash(t.Context(), pan123.Bytes([]byte("x")), pan123.HashOptions{})
	fmt.Println("hash:", err)
	_, err = pan123.Version()
	fmt.Println("version:", err)
}

func TestOldLibrary(t *testing.T) {
	out := child(t, "old", oldLibrary(t))
	const say = "pan123: the libpan123 on this machine is version 0.0.9, and this program needs 0.1 with 0 additions or more: " +
		"install that version of libpan123\n"
	for _, of := range []string{"client: ", "hash: ", "version: "} {
		if !strings.Contains(out, of+say) {
			t.Errorf("%s says:\n%s", of, out)
		}
	}
}

func TestMissingLibrary(t *testing.T) {
	// The system's own loader says it, and names what is missing.
	out := child(t, "missing", t.TempDir())
	if !strings.Contains(out, "libpan123.so.0.1: cannot open shared object file") {
		t.Errorf("without a library it says:\n%s", out)
	}
}
