// What the source is, before the compiler sees it: in which folder the program stands, whether it has a main() of its own or the
// function that our launcher is to call. A mistake here is told in the words of who deploys, not of the linker.
package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
)

// The folders of an archive in which the program may stand, the first that has sources is taken.
var places = []string{".", "src", "src/main", "main"}

// sources are the Go files of a folder that are part of a program.
func sources(folder string) []string {
	files, _ := filepath.Glob(filepath.Join(folder, "*.go"))
	var list []string
	for _, f := range files {
		if !strings.HasSuffix(f, "_test.go") {
			list = append(list, f)
		}
	}
	return list
}

// programFolder is where the program stands.
func programFolder(root string) (string, error) {
	for _, p := range places {
		if folder := filepath.Join(root, p); len(sources(folder)) > 0 {
			return folder, nil
		}
	}
	return "", errors.New("There is no Go file: sources are expected at the top of the archive, or in its folder src or main.")
}

// found is what a program declares.
type found struct {
	mainFile    string // where func main() stands: it speaks to the agent itself, unless there is the function too; "" when nowhere
	mainOffset  int    // of its name in the file
	hasFunction bool   // the function that was named
}

func look(path string, positions *token.FileSet, f *ast.File, function string, ret *found) {
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Recv != nil {
			continue
		}
		if fn.Name.Name == "main" {
			ret.mainFile, ret.mainOffset = path, positions.Position(fn.Name.Pos()).Offset
		}
		ret.hasFunction = ret.hasFunction || fn.Name.Name == function
	}
}

// hideMain renames a main() that stands beside the function: people keep one to try the function by hand.
func hideMain(has found) error {
	text, err := os.ReadFile(has.mainFile)
	if err != nil {
		return err
	}
	at := has.mainOffset
	text = append(append(append([]byte{}, text[:at]...), "naraeHidden_"...), text[at:]...)
	return os.WriteFile(has.mainFile, text, 0644)
}

// check reads the program of a folder. What cannot be parsed is left to the compiler, which says it better.
func check(folder, function string) (found, error) {
	var ret found
	for _, path := range sources(folder) {
		positions := token.NewFileSet()
		f, err := parser.ParseFile(positions, path, nil, 0)
		if err != nil {
			return found{hasFunction: true}, nil
		}
		if f.Name.Name != "main" {
			return ret, fmt.Errorf("%s is of package %s: a function is of package main.", filepath.Base(path), f.Name.Name)
		}
		look(path, positions, f, function, &ret)
	}
	if ret.mainFile == "" && !ret.hasFunction {
		return ret, fmt.Errorf("The package has no func %s(map[string]interface{}) map[string]interface{}, nor a func main().", function)
	}
	return ret, nil
}

// functionName is the function to be called: "Main" unless another is named. Only an exported name, for it is written into source.
func functionName(main string) (string, error) {
	if main == "" {
		main = "main"
	}
	name := strings.ToUpper(main[:1]) + main[1:]
	if !token.IsIdentifier(name) || !token.IsExported(name) || strings.HasPrefix(name, "narae") {
		return "", fmt.Errorf("'main' is %q: the name of an exported function is expected, such as Main.", main)
	}
	return name, nil
}

// exists says whether anything stands there.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
