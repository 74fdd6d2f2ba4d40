import CPan123

/// The calls of the service, one request each. They are not repeated: ``Pan123Error/isRetryable`` and
/// ``Pan123Error/retryAfter`` say whether to. A task that is cancelled ends its call within 250 ms, with
/// `CancellationError`. Each call that waits holds a thread of its own.
extension Client {
    /// Gets the access token that requests are made with, from wherever the client has it.
    public func token() async throws -> Token {
        let fields = try await result { [api] client, stop, out, error in api.api_token(client, stop, out, error) }
        return Token(fields)
    }

    /// Asks for upload hosts.
    public func uploadHosts() async throws -> [String] {
        let fields = try await result { [api] client, stop, out, error in api.api_domain(client, stop, out, error) }
        return fields.texts(PAN123_F_SERVER, count: PAN123_F_SERVER_COUNT)
    }

    /// Announces a file of `size` bytes, whose MD5 is `etag` in hex, for `folder` (0 is the root) under `name`.
    public func create(
        _ name: String, in folder: Int64 = 0, etag: String, size: UInt64, options: UploadOptions = UploadOptions()
    ) async throws -> Created {
        let options = try options.target(api)
        let fields = try await result { [api] client, stop, out, error in
            options.lend { options in
                name.lend { name, nameLength in
                    etag.lend {
                        api.api_create(client, folder, name, nameLength, $0, $1, size, options, stop, out, error)
                    }
                }
            }
        }
        return Created(fields)
    }

    /// Sends slice `number`, counted from 1, of the file that was announced as `preuploadID`, to `server`; both are
    /// from ``create(_:in:etag:size:options:)``. `md5` is that of these bytes in hex; `nil` has it computed. A slice that
    /// the service has already is no error.
    public func sendSlice(
        _ number: Int, of preuploadID: String, _ bytes: [UInt8], md5: String? = nil, to server: String
    ) async throws {
        let number = try sliceNumber(number)
        try await done { [api] client, stop, error in
            bytes.withUnsafeBufferPointer { bytes in
                server.lend { server, serverLength in
                    preuploadID.lend { id, idLength in
                        md5.lend {
                            api.api_slice(
                                client, server, serverLength, id, idLength, number, $0, $1,
                                bytes.baseAddress, bytes.count, stop, error)
                        }
                    }
                }
            }
        }
    }

    /// Sends slice `number` from a source: the bytes of `range`. Otherwise as ``sendSlice(_:of:_:md5:to:)``.
    public func sendSlice(
        _ number: Int, of preuploadID: String, from source: Source, _ range: Range<UInt64>, md5: String? = nil,
        to server: String
    ) async throws {
        let number = try sliceNumber(number)
        try await done { [api] client, stop, error in
            source.handle.lend { source in
                server.lend { server, serverLength in
                    preuploadID.lend { id, idLength in
                        md5.lend {
                            api.api_slice_from(
                                client, server, serverLength, id, idLength, number, $0, $1, source,
                                range.lowerBound, range.upperBound - range.lowerBound, stop, error)
                        }
                    }
                }
            }
        }
    }

    /// Asks the service to put the slices together and to check them. Returns the file's id, or `nil` while the service
    /// is still at it: ask again in a second.
    public func complete(_ preuploadID: String) async throws -> Int64? {
        let fields = try await result { [api] client, stop, out, error in
            preuploadID.lend { api.api_complete(client, $0, $1, stop, out, error) }
        }
        return fields.storedFile
    }

    /// Sends a whole file of up to 1 GiB in one request, without ``create(_:in:etag:size:options:)`` and slices. `server`
    /// is from ``uploadHosts()``; `etag` is the MD5 of the whole in hex. Returns the file's id, or `nil` if the service has not
    /// stored it yet.
    public func uploadSingle(
        _ source: Source, as name: String, in folder: Int64 = 0, etag: String, to server: String,
        options: UploadOptions = UploadOptions()
    ) async throws -> Int64? {
        let options = try options.target(api)
        let fields = try await result { [api] client, stop, out, error in
            options.lend { options in
                source.handle.lend { source in
                    server.lend { server, serverLength in
                        name.lend { name, nameLength in
                            etag.lend {
                                api.api_single(
                                    client, server, serverLength, folder, name, nameLength, $0, $1, source, options,
                                    stop, out, error)
                            }
                        }
                    }
                }
            }
        }
        return fields.storedFile
    }

    /// Makes a call that has no result.
    private func done(
        _ call: @escaping @Sendable (
            _ client: OpaquePointer, _ stop: OpaquePointer, _ error: UnsafeMutablePointer<OpaquePointer?>
        ) -> pan123_status
    ) async throws {
        let (api, client) = (api, handle)
        try await underWay.during {
            try await blocking(api) { stop in
                try api.check { error in
                    client.lend { client in stop.lend { stop in call(client, stop, error) } }
                }
            }
        }
    }

    private typealias Call = @Sendable (
        _ client: OpaquePointer, _ stop: OpaquePointer, _ out: UnsafeMutablePointer<OpaquePointer?>,
        _ error: UnsafeMutablePointer<OpaquePointer?>
    ) -> pan123_status

    private func result(_ call: @escaping Call) async throws -> Fields {
        let (api, client) = (api, handle)
        return try await underWay.during {
            try await blocking(api) { stop in
                try api.result { out, error in
                    client.lend { client in stop.lend { stop in call(client, stop, out, error) } }
                }
            }
        }
    }
}

private func sliceNumber(_ number: Int) throws(Pan123Error) -> UInt32 {
    guard let number = UInt32(exactly: number) else {
        throw Pan123Error(.invalidArgument, "the slice number is \(number); slices are counted from 1")
    }
    return number
}

extension Source {
    /// Computes the MD5 of the whole and of each slice, reading each byte once, and SHA-1 too if asked for.
    ///
    /// `sliceSize` is what ``Client/create(_:in:etag:size:options:)`` answered; 0 means 16 MiB, which is what the service
    /// has always answered.
    public func digests(sliceSize: UInt64 = 0, sha1: Bool = false) async throws -> Digests {
        try await Source.digests(of: [self], sliceSize: sliceSize, sha1: sha1)[0]
    }

    /// Computes the digests of several sources, as quickly as the machine can. Throws the error of the first that fails.
    public static func digests(of sources: [Source], sliceSize: UInt64 = 0, sha1: Bool = false) async throws -> [Digests] {
        let api = try functions()
        return try await blocking(api) { stop in
            var results = [OpaquePointer?](repeating: nil, count: sources.count)
            defer { results.forEach(api.result_free) }
            try withExtendedLifetime(sources) {
                let handles = sources.map { $0.handle.lend { Optional($0) } }
                try api.check { error in
                    stop.lend { stop in
                        api.hash(handles, handles.count, sliceSize, sha1 ? UInt32(PAN123_HASH_SHA1) : 0, stop, &results, error)
                    }
                }
            }
            return try results.indices.map { index in
                let fields = try api.result { out, _ in
                    swap(&out.pointee, &results[index])
                    return PAN123_OK
                }
                return Digests(fields)
            }
        }
    }
}

/// Digests of a source, in hex.
public struct Digests: Sendable, Hashable {
    /// MD5 of the whole.
    public let etag: String
    /// MD5 of each slice; index 0 is slice number 1.
    public let slices: [String]
    /// SHA-1 of the whole, if it was asked for.
    public let sha1: String?
    /// Size in bytes.
    public let size: UInt64
    /// Length of a slice in bytes; the last one may be shorter.
    public let sliceSize: UInt64

    init(_ fields: Fields) {
        etag = fields.text(PAN123_F_ETAG) ?? ""
        slices = fields.texts(PAN123_F_SLICE_MD5, count: PAN123_F_SLICE_COUNT)
        sha1 = fields.text(PAN123_F_SHA1)
        size = fields.size(PAN123_F_SIZE)
        sliceSize = fields.size(PAN123_F_SLICE_SIZE)
    }
}

/// What the service answers to the announcement of a file.
public enum Created: Sendable, Hashable {
    /// It had the bytes already, and all is done: the file's id.
    case reused(fileID: Int64)
    /// It wants the slices, with ``Client/sendSlice(_:of:_:md5:to:)``, and then ``Client/complete(_:)``.
    case wanted(Wanted)

    /// What the service wants to be sent.
    public struct Wanted: Sendable, Hashable {
        /// What names this upload at the service.
        public let preuploadID: String
        /// Length of a slice in bytes; the last one may be shorter.
        public let sliceSize: UInt64
        /// Number of slices.
        public let sliceCount: Int
        /// Upload hosts.
        public let servers: [String]
    }

    init(_ fields: Fields) {
        if fields.number(PAN123_F_REUSED) == 1 {
            self = .reused(fileID: fields.number(PAN123_F_FILE_ID) ?? 0)
        } else {
            self = .wanted(
                Wanted(
                    preuploadID: fields.text(PAN123_F_PREUPLOAD_ID) ?? "",
                    sliceSize: fields.size(PAN123_F_SLICE_SIZE),
                    sliceCount: Int(fields.number(PAN123_F_SLICE_COUNT) ?? 0),
                    servers: fields.texts(PAN123_F_SERVER, count: PAN123_F_SERVER_COUNT)))
        }
    }
}

extension Fields {
    fileprivate var storedFile: Int64? {
        number(PAN123_F_COMPLETED) == 1 ? number(PAN123_F_FILE_ID) : nil
    }
}
