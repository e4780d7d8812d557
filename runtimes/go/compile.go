// The compiler as a function of the platform: one container compiles one upload and hands the result over in pieces.
//
//	{"main":"Main"}     compiles what stands in the working folder; answers {"bytes":n}, or {"refused":"what the compiler said"}
//	{"piece":0}         answers {"data":"base64 of bytes 0..pieceBytes of the result"}; the next piece has the next number
//
// It is an ActionLoop program: a line of JSON on stdin, a line on descriptor 3. The source is hostile: it is read and compiled here,
// never run, in a container without a network and with bounds on memory and time that are the host's.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"io"
	"os"
)

const pieceBytes = 700 << 10

type request struct {
	Value struct {
		Main  string
		Piece *int64
	}
}

func refused(why string) map[string]interface{} {
	return map[string]interface{}{"refused": why}
}

// piece reads one piece of the result.
func piece(number int64) map[string]interface{} {
	f, err := os.Open(result)
	if err != nil {
		return refused("There is no result.")
	}
	defer f.Close()
	bytes := make([]byte, pieceBytes)
	n, err := f.ReadAt(bytes, number*pieceBytes)
	if err != nil && err != io.EOF {
		return refused("The result cannot be read: " + err.Error())
	}
	return map[string]interface{}{"data": base64.StdEncoding.EncodeToString(bytes[:n])}
}

func answer(line []byte) map[string]interface{} {
	var r request
	if err := json.Unmarshal(line, &r); err != nil {
		return refused("The request is not understood: " + err.Error())
	}
	if r.Value.Piece != nil {
		return piece(*r.Value.Piece)
	}
	folder, err := os.Getwd()
	if err == nil {
		err = build(folder, r.Value.Main)
	}
	if err != nil {
		return refused(err.Error())
	}
	info, err := os.Stat(result)
	if err != nil {
		return refused("There is no result: " + err.Error())
	}
	return map[string]interface{}{"bytes": info.Size()}
}

func main() {
	out := json.NewEncoder(os.NewFile(3, "replies"))
	in := bufio.NewReader(os.Stdin)
	for err := out.Encode(map[string]bool{"ok": true}); err == nil; {
		var line []byte
		if line, err = in.ReadBytes('\n'); err == nil {
			err = out.Encode(answer(line))
		}
	}
}
