package pan123_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"pan123"
)

// options are those of an account; without PAN123_BASE_URL the service's own address.
func options() pan123.Options {
	return pan123.Options{BaseURL: os.Getenv("PAN123_BASE_URL"), AccessToken: os.Getenv("PAN123_ACCESS_TOKEN")}
}

// newClient is for examples that are about something else.
func newClient() *pan123.Client {
	client, err := pan123.NewClient(options())
	if err != nil {
		log.Fatal(err)
	}
	return client
}

func Example() {
	client, err := pan123.NewClient(pan123.Options{
		BaseURL:     os.Getenv("PAN123_BASE_URL"), // the service's own if empty
		AccessToken: os.Getenv("PAN123_ACCESS_TOKEN"),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	text := "Attack at dawn."
	result, err := client.Upload(context.Background(), strings.NewReader(text), int64(len(text)), 0, "plan.txt")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Size, "bytes with MD5", result.ETag)
	// Output: 15 bytes with MD5 3b2cf504125cf06fa52d70e9957b41d5
}

func ExampleClient_UploadFile() {
	client := newClient()
	defer client.Close()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "film.mkv")
	if err := os.WriteFile(path, bytes.Repeat([]byte("film"), 1_000_000), 0o600); err != nil {
		log.Fatal(err)
	}

	// Folders of the path are made, and a file that is there already is replaced.
	result, err := client.UploadFile(context.Background(), path, 0, "2026/summer/film.mkv",
		pan123.WithFolders(), pan123.WithDuplicate(pan123.DuplicateReplace))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Size, "bytes, known already:", result.Reused)
	// Output: 4000000 bytes, known already: false
}

func ExampleClient_Start() {
	client := newClient()
	defer client.Close()
	upload, err := client.Start(context.Background(), pan123.Bytes(make([]byte, 5<<20)), 0, "zeros")
	if err != nil {
		log.Fatal(err)
	}
	slices := 0
	for event := range upload.Events() {
		switch event.Kind {
		case pan123.EventSlice:
			slices++
		case pan123.EventRetry:
			log.Printf("try %d of slice %d failed: %s", event.Attempt, event.Slice, event.Text)
		}
	}
	if _, err := upload.Wait(); err != nil {
		log.Fatal(err)
	}
	progress := upload.Progress()
	fmt.Println(slices, "slices,", progress.BytesConfirmed, "bytes confirmed")
	// Output: 5 slices, 5242880 bytes confirmed
}

func ExampleUpload_Pause() {
	client := newClient()
	defer client.Close()
	ctx := context.Background()
	upload, err := client.Start(ctx, pan123.Bytes(bytes.Repeat([]byte("1"), 6<<20)), 0, "ones")
	if err != nil {
		log.Fatal(err)
	}
	upload.Pause()
	_, err = upload.Wait()
	if errors.Is(err, pan123.ErrPaused) {
		if err := upload.Resume(ctx); err != nil {
			log.Fatal(err)
		}
		_, err = upload.Wait()
	}
	fmt.Println("error:", err)
	// Output: error: <nil>
}

func ExampleError() {
	client := newClient()
	defer client.Close()
	_, err := client.UploadFile(context.Background(), "no such film.mkv", 0, "film.mkv")
	var e *pan123.Error
	switch {
	case errors.Is(err, pan123.ErrLogin), errors.Is(err, pan123.ErrName):
		log.Fatal("this is not what happens here")
	case errors.Is(err, fs.ErrNotExist) && errors.As(err, &e):
		fmt.Println(e.Message)
		fmt.Println(e.Advice)
	}
	// Output:
	// open source: no such film.mkv: no such file
	// Check the path.
}

func ExampleHash() {
	digests, err := pan123.Hash(context.Background(), pan123.Bytes([]byte("abc")), pan123.HashOptions{SHA1: true})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(digests.ETag, digests.SHA1, len(digests.SliceMD5))
	// Output: 900150983cd24fb0d6963f7d28e17f72 a9993e364706816aba3e25717850c26c9cd0d89d 1
}

// Slice by slice, for programs that have a scheduler of their own.
func ExampleClient_UploadSlice() {
	client := newClient()
	defer client.Close()
	ctx := context.Background()
	data := bytes.Repeat([]byte("twos"), 600_000)

	digests, err := pan123.Hash(ctx, pan123.Bytes(data), pan123.HashOptions{})
	if err != nil {
		log.Fatal(err)
	}
	created, err := client.Create(ctx, 0, "twos", digests.ETag, digests.Size)
	if err != nil || created.Reused {
		log.Fatal("reused, or ", err)
	}
	for number := 1; number <= created.SliceCount; number++ {
		begin := int64(number-1) * created.SliceSize
		slice := pan123.Slice{Server: created.Servers[0], PreuploadID: created.PreuploadID, Number: number}
		if err := client.UploadSlice(ctx, slice, data[begin:min(begin+created.SliceSize, digests.Size)]); err != nil {
			log.Fatal(err)
		}
	}
	completed, err := client.Complete(ctx, created.PreuploadID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(created.SliceCount, "slices, stored:", completed.Done)
	// Output: 3 slices, stored: true
}

// A token source that keeps what it has, and fetches another one when that was refused.
func ExampleTokenFunc() {
	var have pan123.Token
	source := func(_ context.Context, refused string) (pan123.Token, error) {
		if have.Value == "" || have.Value == refused {
			have = pan123.Token{Value: os.Getenv("PAN123_ACCESS_TOKEN")} // from a vault, say
		}
		return have, nil
	}
	client, err := pan123.NewClient(pan123.Options{BaseURL: os.Getenv("PAN123_BASE_URL"), Tokens: source})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	servers, err := client.Domain(context.Background())
	fmt.Println(len(servers), "servers, error:", err)
	// Output: 2 servers, error: <nil>
}

// headers adds one to each request.
type headers struct{ next http.RoundTripper }

func (h headers) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("X-Department", "films")
	return h.next.RoundTrip(request)
}

func ExampleOptions_transport() {
	options := options()
	options.Transport = headers{http.DefaultTransport}
	client, err := pan123.NewClient(options)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	servers, err := client.Domain(context.Background())
	fmt.Println(len(servers), "servers, error:", err)
	// Output: 2 servers, error: <nil>
}
