// Compiling: our launcher is put beside the program, then the toolchain makes one static executable of both. Without cgo nothing of
// the source is run on the way; without a network only the standard library and what the archive brings (vendor, or modules that
// its go.mod replaces by folders) can be imported.
package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	goTool     = "/usr/lib/go-1.19/bin/go"
	launcher   = "/narae/launcher.go.txt"
	ours       = "narae_launcher.go"
	saidBytes  = 8 << 10
	callMarker = "narae_function"
)

// Where the result stands once it has been built.
var result string

// roomiest is where the compiler may write: archives get a large folder, single files a large /tmp.
func roomiest(folder string) string {
	var a, b syscall.Statfs_t
	if syscall.Statfs("/tmp", &a) == nil && syscall.Statfs(folder, &b) == nil &&
		a.Bavail*uint64(a.Bsize) > b.Bavail*uint64(b.Bsize) {
		return "/tmp"
	}
	return folder
}

// addLauncher puts main() beside a program that has only the function.
func addLauncher(folder, function string) error {
	text, err := os.ReadFile(launcher)
	if err != nil {
		return err
	}
	text = bytes.ReplaceAll(text, []byte(callMarker), []byte(function))
	path := filepath.Join(folder, ours)
	if exists(path) {
		return errors.New("A file of the archive is called " + ours + ": that name is the platform's.")
	}
	return os.WriteFile(path, text, 0644)
}

// addModule makes a program a module when it is none.
func addModule(folder string) error {
	path := filepath.Join(folder, "go.mod")
	if exists(path) || exists(filepath.Join(folder, "..", "go.mod")) {
		return nil
	}
	return os.WriteFile(path, []byte("module action\n\ngo 1.19\n"), 0644)
}

// said is what the compiler wrote, without the paths of this container and cut to what an error message may hold.
func said(text []byte, folder string) error {
	s := strings.ReplaceAll(string(text), folder+"/", "")
	s = strings.TrimSpace(strings.ToValidUTF8(s, "?"))
	if len(s) > saidBytes {
		s = strings.ToValidUTF8(s[:saidBytes], "") + "\n..."
	}
	return errors.New(s)
}

func compile(folder, work string) error {
	out := filepath.Join(work, "exec")
	c := exec.Command(goTool, "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", out, ".")
	c.Dir = folder
	c.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + work, "GOROOT=/usr/lib/go-1.19", "GOPATH=" + filepath.Join(work, "path"),
		"GOCACHE=" + filepath.Join(work, "cache"), "GOTMPDIR=" + work, "TMPDIR=" + work, "CGO_ENABLED=0", "GO111MODULE=on",
		"GOPROXY=off", "GOSUMDB=off", "GOFLAGS=", "GOENV=off", "GOWORK=off"}
	text, err := c.CombinedOutput()
	if err == nil {
		result = out
		return nil
	}
	if c.ProcessState == nil || c.ProcessState.ExitCode() < 0 || len(bytes.TrimSpace(text)) == 0 {
		text = append(text, []byte("\nThe compiler ended: "+err.Error()+".")...)
	}
	return said(text, folder)
}

// build makes the executable of what stands in root, with `main` as its function.
func build(root, main string) error {
	function, err := functionName(main)
	if err != nil {
		return err
	}
	folder, err := programFolder(root)
	if err != nil {
		return err
	}
	has, err := check(folder, function)
	if err == nil && has.hasFunction && has.mainFile != "" {
		err = hideMain(has)
	}
	if err == nil && has.hasFunction {
		err = addLauncher(folder, function)
	}
	if err == nil {
		err = addModule(folder)
	}
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp(roomiest(root), ".build-")
	if err != nil {
		return err
	}
	return compile(folder, work)
}
