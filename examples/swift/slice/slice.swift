// Sends one slice: slice SERVER PREUPLOAD_ID SLICE_NO FILE [OFFSET LENGTH]
//
// SERVER and PREUPLOAD_ID are from `create`. Without OFFSET and LENGTH the slice is the whole of FILE.
import Foundation
import Pan123

let arguments = CommandLine.arguments
guard arguments.count == 5 || arguments.count == 7, let number = Int(arguments[3]) else { exit(2) }
do {
    let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: arguments[4]))
    var bytes = Data()
    if arguments.count == 7, let offset = UInt64(arguments[5]), let length = Int(arguments[6]) {
        try file.seek(toOffset: offset)
        bytes = try file.read(upToCount: length) ?? Data()
    } else {
        bytes = try file.readToEnd() ?? Data()
    }

    // The library computes the MD5 that goes with the slice.
    let client = try Client(accessToken: ProcessInfo.processInfo.environment["PAN123_ACCESS_TOKEN"] ?? "")
    try await client.sendSlice(number, of: arguments[2], [UInt8](bytes), to: arguments[1])
    print("slice \(number) ok")
} catch {
    FileHandle.standardError.write(Data("\(error)\n".utf8))
    exit(1)
}
