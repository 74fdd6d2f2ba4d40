package scenarios

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"pan123"
	"pan123/internal/abi"
	"pan123/internal/emulator"
)

// Calls runs what is to be said of single calls: good input, and above all bad.
func Calls(t *testing.T) {
	t.Run("numbers", numbers)
	t.Run("bad options", badOptions)
	t.Run("bad calls", badCalls)
	t.Run("hash", hashing)
	t.Run("service", service)
	t.Run("duplicates and folders", duplicates)
}

// numbers: what this package calls by number is what the library calls so.
func numbers(t *testing.T) {
	lib := abi.Linked
	if lib == nil {
		var err error
		lib, err = abi.Load()
		check(t, err)
	}
	listed := map[string]int64{}
	for i := 0; ; i++ {
		name, value := lib.ConstantAt(i)
		if name == "" {
			break
		}
		listed[name] = value
	}
	for name, value := range abi.Numbers {
		if have, ok := listed[name]; ok && have != value || !ok && name != "PAN123_ABI_VERSION" {
			t.Errorf("%s is %d here and %d in the library (listed: %v)", name, value, have, ok)
		}
	}
	if len(listed) < 90 {
		t.Errorf("the library lists %d", len(listed))
	}
	if version, err := pan123.Version(); err != nil || !strings.HasPrefix(version, "0.1.") {
		t.Errorf("version %q (%v)", version, err)
	}
}

// refused checks that an error is of a kind, and says something that the caller understands.
func refused(t *testing.T, what string, err error, code pan123.Code, word string) {
	t.Helper()
	var e *pan123.Error
	if !errors.Is(err, code) || !errors.As(err, &e) || !strings.Contains(e.Message, word) {
		t.Errorf("%s: the error is %v", what, err)
	}
}

func badOptions(t *testing.T) {
	for name, of := range map[string]struct {
		options pan123.Options
		word    string
	}{
		"nothing to get a token from": {pan123.Options{}, "token"},
		"an id without a secret":      {pan123.Options{ClientID: "id"}, "secret"},
		"a refresh token to lose":     {pan123.Options{ClientID: "id", ClientSecret: "s", RefreshToken: "r"}, "token_cache"},
		"no address":                  {pan123.Options{AccessToken: "x", BaseURL: "not an address"}, "base_url"},
		"an address that is a word":   {pan123.Options{AccessToken: "x", BaseURL: "nonsense"}, "write https://"},
		"negative slices":             {pan123.Options{AccessToken: "x", SlicesInFlight: -1}, "SlicesInFlight"},
		"too many slices":             {pan123.Options{AccessToken: "x", SlicesInFlight: 65}, "64"},
		"a negative rate":             {pan123.Options{AccessToken: "x", BytesPerSec: -5}, "BytesPerSec"},
		"a negative time":             {pan123.Options{AccessToken: "x", SourceTimeout: -time.Second}, "SourceTimeout"},
		"progress too often":          {pan123.Options{AccessToken: "x", ProgressEvery: time.Millisecond}, "ProgressEvery is 1ms; it is from 10ms"},
		"a time too long":             {pan123.Options{AccessToken: "x", RetryFor: 25 * time.Hour}, "RetryFor"},
		"text that is not UTF-8":      {pan123.Options{AccessToken: "x", UserAgent: "\xff"}, "UTF-8"},
		"text with a NUL":             {pan123.Options{AccessToken: "x", StateDir: "a\x00b"}, "NUL"},
	} {
		c, err := pan123.NewClient(of.options)
		t.Logf("%s: %v", name, err)
		refused(t, name, err, pan123.ErrInvalidArgument, of.word)
		if c != nil {
			t.Errorf("%s: a client all the same", name)
		}
	}
}

func badCalls(t *testing.T) {
	server := emulator.Start(t, "")
	c := client(t, server, nil)
	ctx := t.Context()
	some := bytes.NewReader([]byte("some"))
	none := &pan123.Client{}
	var nobody *pan123.Client
	var noContext context.Context
	upload := func(_ pan123.Result, err error) error { return err }
	for _, of := range []struct {
		name string
		err  error
		code pan123.Code
		word string
	}{
		{"no context", upload(c.Upload(noContext, some, 4, 0, "x")), pan123.ErrInvalidArgument, "context"},
		{"no reader", upload(c.Upload(ctx, nil, 4, 0, "x")), pan123.ErrInvalidArgument, "io.ReaderAt"},
		{"a negative size", upload(c.Upload(ctx, some, -4, 0, "x")), pan123.ErrInvalidArgument, "-4"},
		{"nothing to send", upload(c.Upload(ctx, some, 0, 0, "x")), pan123.ErrInvalidArgument, "empty"},
		{"a negative folder", upload(c.Upload(ctx, some, 4, -1, "x")), pan123.ErrInvalidArgument, "parent_id"},
		{"an empty name", upload(c.Upload(ctx, some, 4, 0, "")), pan123.ErrName, ""},
		{"a long name", upload(c.Upload(ctx, some, 4, 0, strings.Repeat("x", 300))), pan123.ErrName, ""},
		{"a name that is not UTF-8", upload(c.Upload(ctx, some, 4, 0, "\xff")), pan123.ErrInvalidArgument, "UTF-8"},
		{"no source", func() error { _, err := c.Start(ctx, pan123.Source{}, 0, "x"); return err }(),
			pan123.ErrInvalidArgument, "source"},
		{"an odd duplicate", upload(c.Upload(ctx, some, 4, 0, "x", pan123.WithDuplicate(7))),
			pan123.ErrInvalidArgument, "duplicate"},
		{"a directory", upload(c.UploadFile(ctx, t.TempDir(), 0, "x")), pan123.ErrSourceIO, ""},
		{"slice 0", c.UploadSlice(ctx, pan123.Slice{Server: "http://127.0.0.1:1"}, []byte("x")),
			pan123.ErrInvalidArgument, "Number"},
		{"no MD5", c.UploadSlice(ctx, pan123.Slice{Server: server.URL, PreuploadID: "x", Number: 1, MD5: "zz"}, []byte("x")),
			pan123.ErrInvalidArgument, "md5"},
		{"a client of nobody", upload(none.Upload(ctx, some, 4, 0, "x")), pan123.ErrInvalidArgument, "NewClient"},
		{"no client", upload(nobody.Upload(ctx, some, 4, 0, "x")), pan123.ErrInvalidArgument, "NewClient"},
		{"closing no client", nobody.Close(), pan123.ErrInvalidArgument, "NewClient"},
		{"a negative slice size", func() error {
			_, err := pan123.Hash(ctx, pan123.Bytes([]byte("x")), pan123.HashOptions{SliceSize: -1})
			return err
		}(), pan123.ErrInvalidArgument, "SliceSize"},
	} {
		t.Logf("%s: %v", of.name, of.err)
		refused(t, of.name, of.err, of.code, of.word)
	}
	ended, cancel := context.WithTimeout(ctx, -time.Second)
	defer cancel()
	if err := upload(c.Upload(ended, some, 4, 0, "x")); !errors.Is(err, context.DeadlineExceeded) ||
		!errors.Is(err, pan123.ErrCancelled) {
		t.Errorf("a context that is over: %v", err)
	}
	if all := server.Requests(""); len(all) != 0 {
		t.Errorf("the service saw %v", all)
	}
}

func hashing(t *testing.T) {
	data, path := sample(t, 3)
	options := pan123.HashOptions{SliceSize: emulator.SliceSize, SHA1: true}
	want := func(data []byte) string { sum := md5.Sum(data); return hex.EncodeToString(sum[:]) }
	sha := sha1.Sum(data)
	sources := []pan123.Source{
		pan123.File(path), pan123.File(path + " missing"), pan123.Bytes(data),
		pan123.ReaderAt(bytes.NewReader(data), int64(len(data))), {},
	}
	all, err := pan123.HashAll(t.Context(), sources, options)
	if !errors.Is(err, pan123.ErrSourceIO) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the error is %v", err)
	}
	for i, digests := range all {
		if i == 1 || i == 4 {
			if digests != nil {
				t.Errorf("source %d has %+v", i, digests)
			}
			continue
		}
		if digests == nil || digests.ETag != want(data) || digests.SHA1 != hex.EncodeToString(sha[:]) ||
			digests.Size != int64(len(data)) || digests.SliceSize != emulator.SliceSize || len(digests.SliceMD5) != 3 ||
			digests.SliceMD5[0] != want(data[:emulator.SliceSize]) || digests.SliceMD5[2] != want(data[2*emulator.SliceSize:]) {
			t.Errorf("source %d has %+v", i, digests)
		}
	}
	if all, err := pan123.HashAll(t.Context(), nil, options); err != nil || len(all) != 0 {
		t.Errorf("of nothing: %v %v", all, err)
	}
	empty, err := pan123.Hash(t.Context(), pan123.Bytes(nil), pan123.HashOptions{})
	if err != nil || empty.ETag != want(nil) || empty.Size != 0 || empty.SHA1 != "" {
		t.Errorf("of no bytes: %+v (%v)", empty, err)
	}
}

func service(t *testing.T) {
	server := emulator.Start(t, "")
	data, path := sample(t, 2)
	c := client(t, server, nil)
	ctx := t.Context()
	servers, err := c.Domain(ctx)
	if err != nil || len(servers) != 2 {
		t.Fatalf("hosts %v (%v)", servers, err)
	}
	token, err := c.Token(ctx)
	if err != nil || token.Value != emulator.Token || !token.Expires.IsZero() {
		t.Errorf("the token's end is %v (%v)", token.Expires, err)
	}
	digests, err := pan123.Hash(ctx, pan123.File(path), pan123.HashOptions{})
	check(t, err)
	single, err := c.Single(ctx, servers[0], 0, "single", digests.ETag, pan123.File(path))
	if err != nil || !single.Done || single.FileID == 0 || !bytes.Equal(server.Stored("single"), data) {
		t.Errorf("single: %+v (%v)", single, err)
	}
	created, err := c.Create(ctx, 0, "again", digests.ETag, digests.Size)
	if err != nil || !created.Reused || created.FileID == 0 {
		t.Errorf("created: %+v (%v)", created, err)
	}
	_, err = c.Create(ctx, 0, "again", digests.ETag, digests.Size)
	var e *pan123.Error
	if !errors.Is(err, pan123.ErrRefused) || !errors.As(err, &e) || e.Step != "create" || e.APIMessage == "" ||
		e.HTTPStatus != 200 || e.Attempts != 1 || e.TraceID == "" {
		t.Errorf("a taken name: %+v", e)
	}
	if _, err = c.Complete(ctx, "no such upload"); err == nil {
		t.Error("an upload that is not there was completed")
	}
	server.SetFaults(`{"faults": [{"do": "hang"}]}`)
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error)
	go func() { _, err := c.Domain(ctx); ended <- err }()
	began := time.Now()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) || time.Since(began) > within {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}

func duplicates(t *testing.T) {
	server := emulator.Start(t, "")
	c := client(t, server, nil)
	upload := func(text, name string, options ...pan123.UploadOption) (pan123.Result, error) {
		return c.Upload(t.Context(), strings.NewReader(text), int64(len(text)), 0, name, options...)
	}
	first, err := upload("one", "films/2026/a", pan123.WithFolders())
	check(t, err)
	if _, err = upload("two", "films/2026/a", pan123.WithFolders()); !errors.Is(err, pan123.ErrRefused) {
		t.Errorf("a taken name: %v", err)
	}
	second, err := upload("three", "films/2026/a", pan123.WithFolders(), pan123.WithDuplicate(pan123.DuplicateReplace))
	check(t, err)
	if text := string(server.Stored("films/2026/a")); text != "three" || first.FileID == second.FileID {
		t.Errorf("stored is %q", text)
	}
	_, err = upload("four", "films/2026/a", pan123.WithFolders(), pan123.WithDuplicate(pan123.DuplicateKeepBoth))
	check(t, err)
	if text := string(server.Stored("films/2026/a")); text != "three" {
		t.Errorf("stored is %q", text)
	}
}
