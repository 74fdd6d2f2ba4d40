package pan123

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"

	"pan123/internal/abi"
)

// Source is what is uploaded or hashed. Make one with File, Bytes or ReaderAt. It is a description that opens nothing by
// itself, needs no closing, and may serve any number of calls, also at once.
type Source struct {
	open func(lib library) (abi.Ptr, *readerHost, error)
}

// File is a file on disk. It is opened when the source is used; of many files at a time, no more than 128 are kept open,
// and the others are opened again by their path when they are read. Fastest of the three, because no Go code runs for it.
func File(path string) Source {
	return Source{func(lib library) (abi.Ptr, *readerHost, error) {
		source, status, e := lib.SourceFromPath(path)
		if status == abi.OK {
			return source, nil, nil
		}
		failed := lib.newError(status, e)
		if _, err := os.Stat(path); err != nil {
			failed.causes = append(failed.causes, err)
		}
		return nil, nil, failed
	}}
}

// Bytes is memory, which is not copied: do not change it before the call or the upload is over.
func Bytes(data []byte) Source {
	return Source{func(lib library) (abi.Ptr, *readerHost, error) {
		pinned := &pinnedHost{}
		if len(data) > 0 {
			pinned.pinner.Pin(&data[0])
		}
		source, status, e := lib.SourceFromMemory(data, abi.Keep(pinned))
		return source, nil, lib.fail(status, e)
	}}
}

// ReaderAt is anything that can be read at an offset, size bytes long. ReadAt comes from several goroutines at once, and
// may block, but not longer than Options.SourceTimeout.
//
// A size that is not what r has: bytes behind it are not read, and if there are fewer the upload fails with
// ErrSourceChanged.
//
// If r has a method Stat, as *os.File does, an upload fails with ErrSourceChanged when size or modification time change
// while it runs. An error of r is found again in the upload's error by errors.Is.
func ReaderAt(r io.ReaderAt, size int64) Source {
	return Source{func(lib library) (abi.Ptr, *readerHost, error) {
		if r == nil {
			return nil, nil, misuse("the io.ReaderAt is nil")
		}
		if size < 0 {
			return nil, nil, misuse("the size is %d; it is the number of bytes", size)
		}
		host := &readerHost{reader: r}
		host.stat, _ = r.(interface{ Stat() (fs.FileInfo, error) })
		source, status, e := lib.SourceNew(abi.Keep(host), uint64(size), host.stat != nil)
		return source, host, lib.fail(status, e)
	}}
}

func (s Source) opened(lib library) (abi.Ptr, *readerHost, error) {
	if s.open == nil {
		return nil, nil, misuse("the source is empty; make one with File, Bytes or ReaderAt")
	}
	return s.open(lib)
}

// pinnedHost holds memory in its place until the library lets go of it.
type pinnedHost struct{ pinner runtime.Pinner }

func (h *pinnedHost) Release() { h.pinner.Unpin() }

// readerHost is an io.ReaderAt as the library sees it.
type readerHost struct {
	reader io.ReaderAt
	stat   interface{ Stat() (fs.FileInfo, error) }
	failures
}

func (h *readerHost) ReadAt(p []byte, offset uint64) (int, int32, string) {
	read, idle := 0, 0
	for {
		n, err := h.reader.ReadAt(p[read:], int64(offset)+int64(read))
		if n < 0 || n > len(p)-read {
			return 0, abi.E_CALLBACK, fmt.Sprintf("ReadAt returned %d for a buffer of %d bytes", n, len(p)-read)
		}
		read += n
		switch {
		case read == len(p) || errors.Is(err, io.EOF):
			return read, abi.OK, ""
		case err != nil:
			return 0, abi.E_SOURCE_IO, h.keep(err)
		case n > 0:
			idle = 0
		default:
			// It should have returned an error with fewer bytes than were asked for.
			if idle++; idle == readsMax {
				return 0, abi.E_SOURCE_IO, h.keep(io.ErrNoProgress)
			}
		}
	}
}

// readsMax is how often in a row a reader may return nothing, and no error.
const readsMax = 100

func (h *readerHost) Identity(into *abi.Identity) (int32, string) {
	info, err := h.stat.Stat()
	if err != nil {
		return abi.E_SOURCE_IO, h.keep(err)
	}
	into.Size, into.MtimeNS = uint64(info.Size()), info.ModTime().UnixNano()
	return abi.OK, ""
}
