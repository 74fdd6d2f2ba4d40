// What an upload from the program's own byte source, and small calls, cost in Swift: cost upload BYTES | slices COUNT |
// hash COUNT. `cargo xtask bench bindings` runs it.
import Foundation
import Pan123

let blockBytes = 64 << 20
let sliceBytes = 4096
let hashBytes = 1024

/// As many bytes as are wanted, from a block of them over and over.
struct Block: ByteSource {
    let block: [UInt8]
    let size: UInt64

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        block.withUnsafeBytes { block in
            var done = 0
            while done < buffer.count {
                let from = (Int(offset) + done) % block.count
                let count = min(buffer.count - done, block.count - from)
                UnsafeMutableRawBufferPointer(rebasing: buffer[done...]).copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: block[from..<from + count]))
                done += count
            }
        }
        return buffer.count
    }
}

/// Takes the time, and what of it the CPU spent on this process.
struct Watch {
    let wall = Watch.seconds(CLOCK_MONOTONIC)
    let cpu = Watch.seconds(CLOCK_PROCESS_CPUTIME_ID)

    func stop() {
        print("{\"wall_s\":\(Watch.seconds(CLOCK_MONOTONIC) - wall),\"cpu_s\":\(Watch.seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu)}")
    }

    static func seconds(_ clock: clockid_t) -> Double {
        var time = timespec()
        clock_gettime(clock, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}

func client() throws -> Client {
    let environment = ProcessInfo.processInfo.environment
    var configuration = Configuration(accessToken: environment["PAN123_ACCESS_TOKEN"] ?? "")
    configuration.baseURL = environment["PAN123_BASE_URL"]
    configuration.slicesInFlight = 8
    return try Client(configuration)
}

func upload(_ block: [UInt8], _ size: Int) async throws {
    let client = try client()
    let watch = Watch()
    _ = try await client.upload(Source(Block(block: block, size: UInt64(size))), as: "cost")
    watch.stop()
    try await client.shutdown()
}

func slices(_ block: [UInt8], _ count: Int) async throws {
    let client = try client()
    let size = UInt64(count * sliceBytes)
    guard case .wanted(let wanted) = try await client.create("cost", etag: "0123456789abcdef0123456789abcdef", size: size)
    else { fatalError("the service has it already") }
    let watch = Watch()
    for number in 1...count {
        let bytes = [UInt8](block[(number - 1) * sliceBytes..<number * sliceBytes])
        try await client.sendSlice(number, of: wanted.preuploadID, bytes, to: wanted.servers[0])
    }
    watch.stop()
}

func hashes(_ block: [UInt8], _ count: Int) async throws {
    let watch = Watch()
    for index in 0..<count {
        let start = index * hashBytes % (blockBytes - hashBytes)
        let digests = try await Source([UInt8](block[start..<start + hashBytes])).digests()
        precondition(digests.etag.count == 32)
    }
    watch.stop()
}

@main struct Main {
    static func main() async throws {
        guard CommandLine.arguments.count == 3, let count = Int(CommandLine.arguments[2]) else { exit(2) }
        var state: UInt64 = 1
        let block = [UInt8](unsafeUninitializedCapacity: blockBytes) { bytes, used in
            for index in 0..<blockBytes {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                bytes[index] = UInt8(truncatingIfNeeded: state >> 56)
            }
            used = blockBytes
        }
        switch CommandLine.arguments[1] {
        case "upload": try await upload(block, count)
        case "slices": try await slices(block, count)
        case "hash": try await hashes(block, count)
        default: exit(2)
        }
    }
}
