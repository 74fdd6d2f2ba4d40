import CPan123

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// One account of the service, with its limits, connections and threads. Make one and use it for all uploads.
///
/// Its threads end when nobody holds it any more and its uploads are over; ``shutdown(cancel:timeout:)`` waits for that.
/// It holds what its ``Configuration`` brings. A transport, token provider or store of yours that uses the client itself
/// holds it weakly, or neither ever ends.
public final class Client: Sendable {
    let api: cpan123_functions
    let handle: Handle
    let underWay = UnderWay()

    /// Makes a client. Sends nothing yet, but reads the system's certificates.
    public init(_ configuration: Configuration) throws(Pan123Error) {
        let api = try functions()
        let options = try configuration.options(api)
        var tokens: Handle?
        if let provider = configuration.tokens { tokens = try Pan123.handle(api, of: provider, underWay) }
        var store: Handle?
        if let own = configuration.store { store = try Pan123.handle(api, of: own) }
        var transport: Handle?
        for own in configuration.transports.reversed() {
            transport = try Pan123.handle(api, of: own, over: transport)
        }
        let queue = try underWay.queue(api)
        handle = try Handle(api, free: api.client_free) { out, error in
            options.lend { options in
                tokens.lend { tokens in
                    transport.lend { transport in
                        store.lend { store in
                            queue.lend { api.client_new(options, tokens, transport, store, $0, out, error) }
                        }
                    }
                }
            }
        }
        self.api = api
    }

    /// A client with a ready access token.
    public convenience init(accessToken: String) throws(Pan123Error) {
        try self.init(Configuration(accessToken: accessToken))
    }

    /// Uploads `source` into `folder` (0 is the root) under `name`, and returns when the service has stored it.
    ///
    /// When the task is cancelled, the upload ends within 250 ms, and this throws `CancellationError`. A later upload
    /// of the same source to the same place goes on where this one was, if there is a `stateDirectory` or a store.
    @discardableResult
    public func upload(
        _ source: Source, as name: String, in folder: Int64 = 0, options: UploadOptions = UploadOptions()
    ) async throws -> Uploaded {
        try Task.checkCancellation()
        let upload = try makeUpload(of: source, as: name, in: folder, options: options)
        try upload.start()
        return try await upload.value
    }

    /// Uploads the file at `url`, under its own name if no other is given.
    @discardableResult
    public func upload(
        file url: URL, as name: String? = nil, in folder: Int64 = 0, options: UploadOptions = UploadOptions()
    ) async throws -> Uploaded {
        let source = try Source(url: url)
        return try await upload(source, as: name ?? source.filename ?? "", in: folder, options: options)
    }

    /// Uploads the file at `path`, under its own name if no other is given.
    @discardableResult
    public func upload(
        file path: String, as name: String? = nil, in folder: Int64 = 0, options: UploadOptions = UploadOptions()
    ) async throws -> Uploaded {
        let source = try Source(path: path)
        return try await upload(source, as: name ?? source.filename ?? "", in: folder, options: options)
    }

    /// Makes an upload of `source` into `folder` (0 is the root) under `name`. Starts nothing.
    public func makeUpload(
        of source: Source, as name: String, in folder: Int64 = 0, options: UploadOptions = UploadOptions()
    ) throws(Pan123Error) -> Upload {
        let options = try options.handle(api)
        let id = underWay.newID()
        let upload = try Handle(api, free: api.upload_free) { out, error in
            handle.lend { client in
                source.handle.lend { source in
                    options.lend { options in
                        name.lend { api.upload_new(client, source, folder, $0, $1, options, id, out, error) }
                    }
                }
            }
        }
        return Upload(upload, id, underWay)
    }

    /// Makes an upload that goes on where another one stopped, perhaps in another process: `state` is from
    /// ``Upload/export()``, and says where the file goes. If `source` has changed since, the upload starts over, and says
    /// so in an event. Throws ``Pan123Error/Kind/sourceChanged`` if it has another size, and
    /// ``Pan123Error/Kind/invalidArgument`` for a state that cannot be read or belongs to another service.
    public func makeUpload(
        resuming state: [UInt8], of source: Source, resumeKey: String? = nil
    ) throws(Pan123Error) -> Upload {
        let options = try Options(api)
        try options.set(PAN123_OPT_RESUME_KEY, resumeKey)
        let id = underWay.newID()
        let upload = try Handle(api, free: api.upload_free) { out, error in
            handle.lend { client in
                source.handle.lend { source in
                    options.handle.lend { options in
                        state.withUnsafeBufferPointer {
                            api.upload_import(client, source, $0.baseAddress, $0.count, options, id, out, error)
                        }
                    }
                }
            }
        }
        return Upload(upload, id, underWay)
    }

    /// Ends the client: begins nothing new, waits for what is under way, or cancels it first, and for the end of the
    /// client's threads. Afterwards everything throws ``Pan123Error/Kind/shutDown``.
    ///
    /// Throws ``Pan123Error/Kind/timeout`` if it takes longer than `timeout`, for example because a callback does not
    /// return; call it again then. `nil` waits for ever. Cancelling the task does not end the wait.
    public func shutdown(cancel: Bool = true, timeout: Duration? = .seconds(10)) async throws {
        let wait = try timeout.map(milliseconds("timeout")).map(Int64.init(clamping:)) ?? -1
        defer { underWay.shutDown(cancel: cancel) }
        let (api, handle) = (api, handle)
        let ended = Task.detached {
            try await blocking(api) { _ in
                try api.check { error in handle.lend { api.client_shutdown($0, cancel ? 1 : 0, wait, error) } }
            }
        }
        try await ended.value
    }
}
