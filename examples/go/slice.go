// Sends one slice: slice SERVER PREUPLOAD_ID SLICE_NO FILE [OFFSET LENGTH]
//
// SERVER and PREUPLOAD_ID are from `create`. Without OFFSET and LENGTH the slice is the whole of FILE.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strconv"

	"pan123"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 5 && len(os.Args) != 7 {
		log.Fatal("usage: slice SERVER PREUPLOAD_ID SLICE_NO FILE [OFFSET LENGTH]")
	}
	file, err := os.Stat(os.Args[4])
	check(err)
	offset, length := int64(0), file.Size()
	if len(os.Args) == 7 {
		offset, length = number(os.Args[5]), number(os.Args[6])
	}
	client, err := pan123.NewClient(pan123.Options{AccessToken: os.Getenv("PAN123_ACCESS_TOKEN")})
	check(err)
	defer client.Close()
	// The library computes the MD5 that goes with the slice.
	slice := pan123.Slice{Server: os.Args[1], PreuploadID: os.Args[2], Number: int(number(os.Args[3]))}
	check(client.UploadSliceFrom(context.Background(), slice, pan123.File(os.Args[4]), offset, length))
	fmt.Println("slice", slice.Number, "ok")
}

func number(text string) int64 {
	value, err := strconv.ParseInt(text, 10, 64)
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
