package scenarios

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"pan123"
	"pan123/internal/emulator"
)

// Exits runs a program that ends in the middle of everything: main returns while uploads run, with nothing closed. The
// test program is that program when Exiting is called first thing.
func Exits(t *testing.T) {
	server := emulator.Start(t, `{"faults": [{"on": "slice", "do": "hang"}]}`)
	_, path := sample(t, 5)
	for range 20 {
		command := exec.CommandContext(t.Context(), os.Args[0])
		command.Env = append(os.Environ(), "PAN123_TEST_EXITS="+path, "PAN123_TEST_URL="+server.URL)
		began := time.Now()
		out, err := command.CombinedOutput()
		if err != nil || string(out) != "leaving\n" || time.Since(began) > 10*time.Second {
			t.Fatalf("after %v: %v\n%s", time.Since(began), err, out)
		}
	}
	if server.Stored("0") != nil {
		t.Error("something was stored")
	}
}

// Exiting is that program, if Exits runs it.
func Exiting() {
	path := os.Getenv("PAN123_TEST_EXITS")
	if path == "" {
		return
	}
	fail := func(err error) {
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	c, err := pan123.NewClient(pan123.Options{BaseURL: os.Getenv("PAN123_TEST_URL"), AccessToken: emulator.Token})
	fail(err)
	file, err := os.Open(path)
	fail(err)
	info, err := file.Stat()
	fail(err)
	for i := range 5 {
		source := pan123.File(path)
		if i%2 == 0 {
			source = pan123.ReaderAt(file, info.Size())
		}
		_, err = c.Start(context.Background(), source, 0, fmt.Sprint(i))
		fail(err)
	}
	fmt.Println("leaving")
	os.Exit(0)
}

// AnotherLibrary runs this test program again, with a setting that leads it to another library, and returns what
// WithAnotherLibrary says there. The test that calls that is TestChild.
func AnotherLibrary(t *testing.T, setting string) string {
	t.Helper()
	command := exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.v")
	command.Env = append(os.Environ(), "PAN123_TEST_CHILD=1", setting)
	out, _ := command.CombinedOutput()
	return string(out)
}

// WithAnotherLibrary prints what the first calls of a program say, if AnotherLibrary runs it.
func WithAnotherLibrary(t *testing.T) {
	if os.Getenv("PAN123_TEST_CHILD") == "" {
		return
	}
	_, err := pan123.NewClient(pan123.Options{AccessToken: "x"})
	fmt.Println("client:", err)
	_, err = pan123.Hash(t.Context(), pan123.Bytes([]byte("x")), pan123.HashOptions{})
	fmt.Println("hash:", err)
	fmt.Println("ErrABI:", errors.Is(err, pan123.ErrABI))
	_, err = pan123.Version()
	fmt.Println("version:", err)
}
