import CPan123

/// News of an upload.
public enum UploadEvent: Sendable, Hashable {
    /// The upload entered a stage. It goes back to hashing when the service names a slice size other than 16 MiB.
    case stage(UploadStage)
    /// Bytes were hashed or sent.
    case progress(UploadProgress)
    /// The service acknowledged the slice of this number, counted from 1.
    case slice(Int)
    /// A request failed and is sent again: which try failed, of which slice if it was one, and why.
    case retry(attempt: Int, slice: Int?, reason: String)
    /// Something worth knowing.
    case note(String)
    /// The last event: it is done, and this is the file's id.
    case completed(fileID: Int64)
    /// The last event: it failed. ``Upload/value`` has the whole error.
    case failed(Pan123Error.Kind, message: String)
    /// The last event: cancelled as asked.
    case cancelled
    /// The last event: paused as asked.
    case paused
}

/// Stages of an upload, in their order. More may come.
public struct UploadStage: RawRepresentable, Sendable, Hashable, Comparable {
    /// The number that the library has for it.
    public let rawValue: UInt32

    /// The stage with this number.
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Not started yet.
    public static let new = UploadStage(rawValue: UInt32(PAN123_STAGE_NEW))
    /// Digests are being computed.
    public static let hashing = UploadStage(rawValue: UInt32(PAN123_STAGE_HASHING))
    /// The service is asked whether it has the bytes.
    public static let creating = UploadStage(rawValue: UInt32(PAN123_STAGE_CREATING))
    /// Bytes go out.
    public static let sending = UploadStage(rawValue: UInt32(PAN123_STAGE_SENDING))
    /// All bytes are acknowledged; the service merges and checks.
    public static let completing = UploadStage(rawValue: UInt32(PAN123_STAGE_COMPLETING))
    /// Over.
    public static let done = UploadStage(rawValue: UInt32(PAN123_STAGE_DONE))

    /// Earlier.
    public static func < (left: UploadStage, right: UploadStage) -> Bool { left.rawValue < right.rawValue }
}

extension UploadStage: CustomStringConvertible {
    /// The name, for example `sending`.
    public var description: String {
        switch self {
        case .new: "new"
        case .hashing: "hashing"
        case .creating: "creating"
        case .sending: "sending"
        case .completing: "completing"
        case .done: "done"
        default: "stage \(rawValue)"
        }
    }
}

/// How far an upload is. No figure falls while it runs.
public struct UploadProgress: Sendable, Hashable {
    /// The furthest stage that was reached.
    public let stage: UploadStage
    /// Slices that the service has acknowledged.
    public let slicesDone: Int
    /// Slices in all; 0 before the service has named a slice size.
    public let slicesTotal: Int
    /// Requests that were sent again.
    public let retries: Int
    /// Bytes whose digests are known.
    public let bytesHashed: UInt64
    /// Bytes that connections have taken; those sent again count once.
    public let bytesSent: UInt64
    /// Bytes of slices that the service has acknowledged.
    public let bytesConfirmed: UInt64
    /// Size in bytes.
    public let bytesTotal: UInt64

    /// Confirmed bytes as a part of all, 0 to 1.
    public var fraction: Double { bytesTotal == 0 ? 0 : Double(bytesConfirmed) / Double(bytesTotal) }

    init(_ upload: Handle) {
        var record = pan123_progress()
        record.struct_size = UInt32(MemoryLayout<pan123_progress>.size)
        // Only a record of a size that cannot be is refused.
        _ = upload.lend { upload.api.upload_progress($0, &record) }
        stage = UploadStage(rawValue: record.state)
        slicesDone = Int(record.slices_done)
        slicesTotal = Int(record.slices_total)
        retries = Int(record.retries)
        bytesHashed = record.bytes_hashed
        bytesSent = record.bytes_sent
        bytesConfirmed = record.bytes_confirmed
        bytesTotal = record.bytes_total
    }
}
