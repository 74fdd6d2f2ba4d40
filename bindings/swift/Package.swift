// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "pan123",
    platforms: [.macOS(.v15), .iOS(.v18)],
    products: [.library(name: "Pan123", targets: ["Pan123"])],
    targets: [
        .target(name: "CPan123"),
        .target(name: "Pan123", dependencies: ["CPan123"]),
        .testTarget(name: "Pan123Tests", dependencies: ["Pan123"]),
    ],
    swiftLanguageModes: [.v6]
)
