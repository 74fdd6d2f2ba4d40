// Package cost is a program that shows what an upload from its own byte source, and small calls, cost in Go:
//
//	cost upload BYTES | slices COUNT | hash COUNT
//
// `cargo xtask bench bindings` runs it.
package cost

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"pan123"
)

const (
	blockBytes = 64 << 20
	sliceBytes = 4096
	hashBytes  = 1024
)

// block is as many bytes as are wanted, from a block of them over and over.
type block []byte

func (b block) ReadAt(p []byte, offset int64) (int, error) {
	for done := 0; done < len(p); {
		done += copy(p[done:], b[(offset+int64(done))%int64(len(b)):])
	}
	return len(p), nil
}

// Main is the program.
func Main() {
	if len(os.Args) != 3 {
		fail("usage: cost upload BYTES | slices COUNT | hash COUNT")
	}
	count, err := strconv.ParseInt(os.Args[2], 10, 64)
	if err != nil {
		fail(err)
	}
	bytes, state := make(block, blockBytes), uint64(1)
	for i := range bytes {
		state = state*6364136223846793005 + 1442695040888963407
		bytes[i] = byte(state >> 56)
	}
	cases := map[string]func(block, int64) error{"upload": upload, "slices": slices, "hash": hash}
	run, ok := cases[os.Args[1]]
	if !ok {
		fail("there is no " + os.Args[1])
	}
	if err := run(bytes, count); err != nil {
		fail(err)
	}
}

func client() (*pan123.Client, error) {
	return pan123.NewClient(pan123.Options{
		BaseURL: os.Getenv("PAN123_BASE_URL"), AccessToken: os.Getenv("PAN123_ACCESS_TOKEN"), SlicesInFlight: 8,
	})
}

func upload(bytes block, size int64) error {
	client, err := client()
	if err != nil {
		return err
	}
	defer client.Close()
	watch := start()
	if _, err := client.Upload(context.Background(), bytes, size, 0, "cost"); err != nil {
		return err
	}
	watch.stop()
	return nil
}

func slices(bytes block, count int64) error {
	client, err := client()
	if err != nil {
		return err
	}
	defer client.Close()
	ctx := context.Background()
	created, err := client.Create(ctx, 0, "cost", "0123456789abcdef0123456789abcdef", count*sliceBytes)
	if err != nil {
		return err
	}
	watch := start()
	for i := range int(count) {
		slice := pan123.Slice{Server: created.Servers[0], PreuploadID: created.PreuploadID, Number: i + 1}
		if err := client.UploadSlice(ctx, slice, bytes[i*sliceBytes:(i+1)*sliceBytes]); err != nil {
			return err
		}
	}
	watch.stop()
	return nil
}

func hash(bytes block, count int64) error {
	watch := start()
	for i := range int(count) {
		from := i * hashBytes % (len(bytes) - hashBytes)
		source := pan123.Bytes(bytes[from : from+hashBytes])
		digests, err := pan123.Hash(context.Background(), source, pan123.HashOptions{})
		if err != nil {
			return err
		}
		if len(digests.ETag) != 32 {
			return fmt.Errorf("the etag is %q", digests.ETag)
		}
	}
	watch.stop()
	return nil
}

// watch takes the time, and what of it the CPU spent on this process.
type watch struct {
	wall time.Time
	cpu  time.Duration
}

func start() watch { return watch{time.Now(), cpu()} }

func (w watch) stop() {
	fmt.Printf("{\"wall_s\":%.9f,\"cpu_s\":%.9f}\n", time.Since(w.wall).Seconds(), (cpu() - w.cpu).Seconds())
}

func cpu() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		fail(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func fail(why any) {
	fmt.Fprintln(os.Stderr, why)
	os.Exit(1)
}
