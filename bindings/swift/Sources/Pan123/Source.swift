import CPan123

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// What is uploaded or hashed: bytes of a known size that can be read at any offset.
///
/// A source may serve any number of calls and uploads, one after another or at once.
public struct Source: Sendable {
    let handle: Handle
    /// The name of the file at the end of the path, if the source is one.
    let filename: String?

    /// A file on disk. It is opened here, and stays open as long as anybody needs it; links are followed.
    public init(path: String) throws(Pan123Error) {
        let api = try functions()
        handle = try Handle(api, free: api.source_free) { out, error in
            path.lend { api.source_from_path($0, $1, out, error) }
        }
        filename = path.split(separator: "/").last.map(String.init)
    }

    /// A file on disk, as ``init(path:)``.
    public init(url: URL) throws(Pan123Error) {
        guard url.isFileURL else {
            throw Pan123Error(.invalidArgument, "\(url) is no file; only file URLs can be uploaded")
        }
        try self.init(path: url.path)
    }

    /// Bytes in memory, which are copied.
    public init(_ bytes: [UInt8]) throws(Pan123Error) {
        try self.init(owning: bytes.withUnsafeBytes(copy), bytes.count)
    }

    /// Bytes in memory, which are copied.
    public init(_ data: Data) throws(Pan123Error) {
        try self.init(owning: data.withUnsafeBytes(copy), data.count)
    }

    /// Takes over `count` bytes, which the library frees.
    private init(owning start: UnsafeMutableRawPointer, _ count: Int) throws(Pan123Error) {
        let api: cpan123_functions
        do throws(Pan123Error) {
            api = try functions()
        } catch {
            start.deallocate()
            throw error
        }
        handle = try Handle(api, free: api.source_free) { out, error in
            api.source_from_memory(
                start.assumingMemoryBound(to: UInt8.self), count,
                { UnsafeMutableRawPointer(bitPattern: $0)?.deallocate() }, UInt(bitPattern: start), out, error)
        }
        filename = nil
    }

    /// Bytes of your own making, read as they are needed.
    public init(_ bytes: some ByteSource) throws(Pan123Error) {
        let api = try functions()
        let size = bytes.size
        var table = pan123_source_vtable()
        table.h = head(of: pan123_source_vtable.self, release: { Held<any ByteSource>.release($0) })
        table.read_at = { context, offset, buffer, length, got, error in
            let held = Held<any ByteSource>.at(context)
            return held.answer(error, or: .source) {
                let buffer = UnsafeMutableRawBufferPointer(start: buffer, count: length)
                let count = try held.object.read(at: offset, into: buffer)
                guard (0...length).contains(count) else {
                    throw Pan123Error(.callback, "read(at:into:) says that it has read \(count) of \(length) bytes")
                }
                got?.pointee = count
            }
        }
        table.identity = { context, out, error in
            let held = Held<any ByteSource>.at(context)
            return held.answer(error, or: .source) {
                let state = try held.object.state()
                out?.pointee.size = held.object.size
                out?.pointee.inode = state.identity
                out?.pointee.mtime_ns = state.changed
            }
        }
        handle = try Handle(api, free: api.source_free) { out, error in
            api.source_new(&table, Held<any ByteSource>.hold(bytes, api), size, out, error)
        }
        filename = nil
    }
}

private func copy(_ bytes: UnsafeRawBufferPointer) -> UnsafeMutableRawPointer {
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(bytes.count, 1), alignment: 1)
    copy.copyMemory(from: bytes)
    return copy.baseAddress!
}

/// A source of bytes of your own.
public protocol ByteSource: Sendable {
    /// Size in bytes, which never changes.
    var size: UInt64 { get }

    /// Reads bytes from `offset` on into `buffer`, and returns how many there were. Fewer than there is room for mean
    /// that the source ends there. Called on threads of the library, several at a time; may block. An error
    /// that is thrown comes out of the upload, as ``Pan123Error/underlyingError``.
    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int

    /// What state the source is in right now. When it differs during an upload, the upload fails with
    /// ``Pan123Error/Kind/sourceChanged``. Default: it never changes.
    func state() throws -> SourceState
}

extension ByteSource {
    /// The source never changes.
    public func state() throws -> SourceState { SourceState() }
}

/// What tells one state of a source from another.
public struct SourceState: Sendable, Hashable {
    /// A number that stays with the source as long as it is the same one.
    public var identity: UInt64
    /// Last change of the content, in nanoseconds since 1970 UTC.
    public var changed: Int64

    /// A state; what is not known stays 0.
    public init(identity: UInt64 = 0, changed: Int64 = 0) {
        self.identity = identity
        self.changed = changed
    }
}
