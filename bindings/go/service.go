package pan123

import (
	"context"
	"time"

	"pan123/internal/abi"
)

// Digests of a source.
type Digests struct {
	// ETag is the MD5 of the whole, 32 hex digits in lower case.
	ETag string
	// SliceMD5 is the MD5 of each slice; index 0 is slice number 1.
	SliceMD5 []string
	// SHA1 of the whole, 40 hex digits, if it was asked for.
	SHA1 string
	// Size in bytes.
	Size int64
	// SliceSize in bytes; the last slice may be shorter.
	SliceSize int64
}

// HashOptions of Hash and HashAll; the zero value is fine.
type HashOptions struct {
	// SliceSize is what Create answered. 0: 16 MiB, which is what the service has always answered.
	SliceSize int64
	// SHA1 as well.
	SHA1 bool
}

// Hash computes the digests of a source, reading each byte once. It needs no client.
func Hash(ctx context.Context, source Source, options HashOptions) (Digests, error) {
	all, err := HashAll(ctx, []Source{source}, options)
	if err != nil {
		return Digests{}, err
	}
	return *all[0], nil
}

// HashAll computes the digests of many sources, which is faster than one after another. If a source fails its place is
// nil, and the error is that of the first that failed; the others are there all the same.
func HashAll(ctx context.Context, sources []Source, options HashOptions) ([]*Digests, error) {
	lib, err := loaded()
	if err != nil {
		return nil, err
	}
	if options.SliceSize < 0 {
		return nil, misuse("HashOptions.SliceSize is %d; it is a number of bytes, or 0", options.SliceSize)
	}
	digests := make([]*Digests, len(sources))
	var opened []abi.Ptr
	var places []int
	var readers []*readerHost
	var first error
	for i, source := range sources {
		s, reader, err := source.opened(lib)
		if err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		defer lib.SourceFree(s)
		opened, places, readers = append(opened, s), append(places, i), append(readers, reader)
	}
	if len(opened) == 0 {
		return digests, first
	}
	var flags uint32
	if options.SHA1 {
		flags |= abi.HASH_SHA1
	}
	err = lib.stoppable(ctx, func(stop abi.Ptr) (int32, abi.Ptr) {
		results, status, e := lib.Hash(opened, uint64(options.SliceSize), flags, stop)
		for i, r := range results {
			if r != nil {
				digests[places[i]] = lib.digests(r)
				lib.ResultFree(r)
			}
		}
		return status, e
	})
	for _, reader := range readers {
		if reader != nil {
			err = reader.explain(err)
		}
	}
	if first == nil {
		first = err
	}
	return digests, first
}

func (lib library) digests(r abi.Ptr) *Digests {
	d := &Digests{
		Size: lib.ResultI64(r, abi.F_SIZE, 0), SliceSize: lib.ResultI64(r, abi.F_SLICE_SIZE, 0),
		SliceMD5: lib.list(r, abi.F_SLICE_MD5),
	}
	d.ETag, _ = lib.ResultStr(r, abi.F_ETAG, 0)
	d.SHA1, _ = lib.ResultStr(r, abi.F_SHA1, 0)
	return d
}

func (lib library) list(r abi.Ptr, field uint32) []string {
	var list []string
	for i := 0; ; i++ {
		text, ok := lib.ResultStr(r, field, i)
		if !ok {
			return list
		}
		list = append(list, text)
	}
}

// Created is what the service says to the announcement of a file.
type Created struct {
	// Reused says that the service had the bytes: FileID is there, and all is done.
	Reused bool
	FileID int64
	// Otherwise: send each slice with UploadSlice to one of Servers, then call Complete.
	PreuploadID string
	SliceSize   int64
	SliceCount  int
	Servers     []string
}

// Slice is one slice of a file that was announced with Create.
type Slice struct {
	// Server and PreuploadID are from Created.
	Server, PreuploadID string
	// Number counts from 1.
	Number int
	// MD5 of these bytes in hex; empty: it is computed.
	MD5 string
}

// Completed is what the service says when it was asked to put the slices together.
type Completed struct {
	// Done says that the file is stored. If it is false, ask again in a second.
	Done   bool
	FileID int64
}

// Token gets the access token that requests are made with, from wherever the client has it.
func (c *Client) Token(ctx context.Context) (token Token, err error) {
	err = c.ask(ctx, func(p, stop abi.Ptr) (abi.Ptr, int32, abi.Ptr) { return c.lib.Token(p, stop) },
		func(r abi.Ptr) {
			token.Value, _ = c.lib.ResultStr(r, abi.F_TOKEN, 0)
			if ms := c.lib.ResultI64(r, abi.F_EXPIRES_UNIX_MS, 0); ms != 0 {
				token.Expires = time.UnixMilli(ms)
			}
		})
	return token, err
}

// Domain asks for upload hosts, for Single.
func (c *Client) Domain(ctx context.Context) (servers []string, err error) {
	err = c.ask(ctx, func(p, stop abi.Ptr) (abi.Ptr, int32, abi.Ptr) { return c.lib.Domain(p, stop) },
		func(r abi.Ptr) { servers = c.lib.list(r, abi.F_SERVER) })
	return servers, err
}

// Create announces a file of size bytes with the MD5 etag. One request, not repeated; Error.Retryable and
// Error.RetryAfter say whether to.
func (c *Client) Create(
	ctx context.Context, parentID int64, name, etag string, size int64, options ...UploadOption,
) (created Created, err error) {
	if size < 0 {
		return Created{}, misuse("the size is %d; it is the number of bytes", size)
	}
	err = c.askWith(ctx, options, func(p, o, stop abi.Ptr) (abi.Ptr, int32, abi.Ptr) {
		return c.lib.Create(p, parentID, name, etag, uint64(size), o, stop)
	}, func(r abi.Ptr) {
		created = Created{
			Reused: c.lib.ResultI64(r, abi.F_REUSED, 0) != 0, FileID: c.lib.ResultI64(r, abi.F_FILE_ID, 0),
			SliceSize:  c.lib.ResultI64(r, abi.F_SLICE_SIZE, 0),
			SliceCount: int(c.lib.ResultI64(r, abi.F_SLICE_COUNT, 0)), Servers: c.lib.list(r, abi.F_SERVER),
		}
		created.PreuploadID, _ = c.lib.ResultStr(r, abi.F_PREUPLOAD_ID, 0)
	})
	return created, err
}

// UploadSlice sends one slice from memory; send several from several goroutines. One request, not repeated. A slice that
// the service has already is no error.
func (c *Client) UploadSlice(ctx context.Context, slice Slice, data []byte) error {
	return c.slice(ctx, slice, func(p abi.Ptr, no uint32, stop abi.Ptr) (int32, abi.Ptr) {
		return c.lib.Slice(p, slice.Server, slice.PreuploadID, no, slice.MD5, data, stop)
	})
}

// UploadSliceFrom sends one slice from a source: length bytes from offset on. Otherwise as UploadSlice.
func (c *Client) UploadSliceFrom(ctx context.Context, slice Slice, source Source, offset, length int64) error {
	if offset < 0 || length < 0 {
		return misuse("offset is %d and length %d; neither is negative", offset, length)
	}
	if err := c.ready(); err != nil {
		return err
	}
	s, reader, err := source.opened(c.lib)
	if err != nil {
		return err
	}
	defer c.lib.SourceFree(s)
	err = c.slice(ctx, slice, func(p abi.Ptr, no uint32, stop abi.Ptr) (int32, abi.Ptr) {
		return c.lib.SliceFrom(p, slice.Server, slice.PreuploadID, no, slice.MD5, s, uint64(offset),
			uint64(length), stop)
	})
	if reader != nil {
		err = reader.explain(err)
	}
	return err
}

func (c *Client) slice(ctx context.Context, slice Slice, send func(p abi.Ptr, no uint32, stop abi.Ptr) (int32, abi.Ptr)) error {
	p, err := c.use()
	if err != nil {
		return err
	}
	defer c.done()
	if slice.Number < 1 || slice.Number > 1<<31-1 {
		return misuse("Slice.Number is %d; it counts from 1", slice.Number)
	}
	return c.explain(c.lib.stoppable(ctx, func(stop abi.Ptr) (int32, abi.Ptr) {
		return send(p, uint32(slice.Number), stop)
	}))
}

// Complete asks the service to put the slices together and to check them. It fails with ErrVerifyFailed if the service
// holds other bytes than were announced.
func (c *Client) Complete(ctx context.Context, preuploadID string) (completed Completed, err error) {
	err = c.ask(ctx, func(p, stop abi.Ptr) (abi.Ptr, int32, abi.Ptr) {
		return c.lib.Complete(p, preuploadID, stop)
	}, func(r abi.Ptr) { completed = c.lib.completed(r) })
	return completed, err
}

// Single sends a whole file of up to 1 GiB in one request, without Create and slices. server is from Domain; etag is the
// MD5 of the whole. One request, not repeated.
func (c *Client) Single(
	ctx context.Context, server string, parentID int64, name, etag string, source Source, options ...UploadOption,
) (completed Completed, err error) {
	if err := c.ready(); err != nil {
		return completed, err
	}
	s, reader, err := source.opened(c.lib)
	if err != nil {
		return completed, err
	}
	defer c.lib.SourceFree(s)
	err = c.askWith(ctx, options, func(p, o, stop abi.Ptr) (abi.Ptr, int32, abi.Ptr) {
		return c.lib.Single(p, server, parentID, name, etag, s, o, stop)
	}, func(r abi.Ptr) { completed = c.lib.completed(r) })
	if reader != nil {
		err = reader.explain(err)
	}
	return completed, err
}

func (lib library) completed(r abi.Ptr) Completed {
	return Completed{Done: lib.ResultI64(r, abi.F_COMPLETED, 0) != 0, FileID: lib.ResultI64(r, abi.F_FILE_ID, 0)}
}

// ask makes a call that has a result, and reads that.
func (c *Client) ask(
	ctx context.Context, call func(p, stop abi.Ptr) (abi.Ptr, int32, abi.Ptr), read func(r abi.Ptr),
) error {
	p, err := c.use()
	if err != nil {
		return err
	}
	defer c.done()
	var r abi.Ptr
	err = c.lib.stoppable(ctx, func(stop abi.Ptr) (status int32, e abi.Ptr) {
		r, status, e = call(p, stop)
		return status, e
	})
	if err != nil {
		return c.explain(err)
	}
	defer c.lib.ResultFree(r)
	read(r)
	return nil
}

// askWith is ask with options.
func (c *Client) askWith(
	ctx context.Context, options []UploadOption, call func(p, o, stop abi.Ptr) (abi.Ptr, int32, abi.Ptr),
	read func(r abi.Ptr),
) error {
	if err := c.ready(); err != nil {
		return err
	}
	settings, err := newSettings(c.lib, options)
	if err != nil {
		return err
	}
	defer settings.free()
	return c.ask(ctx, func(p, stop abi.Ptr) (abi.Ptr, int32, abi.Ptr) { return call(p, settings.p, stop) }, read)
}
