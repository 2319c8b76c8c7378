// Checks a log of Countersign with the libraries of the Go project, which share no code with it: golang.org/x/mod/sumdb/note and
// sumdb/tlog. It ends with 1 at the first surprise.
//
//	interop log DIR KEY      checks the tile tree of a log, such as verify --export-tlog writes for each
//	interop proof FILE KEY   checks a receipt, and prints its entry
//	interop key NAME         makes a key
//	interop check DIR        checks what write.ts has written there, and tampers with it
package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// facts is what write.ts says of the log. All of it is checked.
type facts struct {
	// Verifier keys of the log, of a stranger of the same name, and of a witness.
	Key     string `json:"key"`
	Other   string `json:"other"`
	Witness string `json:"witness"`
	// A private key that Countersign made.
	Private string `json:"private"`
	// The verifier key that the key maker of Go gave for the key that Countersign signed `by-go-key` with.
	GoKey     string `json:"goKey"`
	OldSize   int64  `json:"oldSize"`
	Size      int64  `json:"size"`
	Inclusion []struct {
		Index int64       `json:"index"`
		Proof []tlog.Hash `json:"proof"`
	} `json:"inclusion"`
	Consistency []struct {
		OldSize int64       `json:"oldSize"`
		Proof   []tlog.Hash `json:"proof"`
	} `json:"consistency"`
	Receipts []string `json:"receipts"`
}

func main() {
	defer func() {
		if surprise := recover(); surprise != nil {
			fmt.Fprintln(os.Stderr, "interop:", surprise)
			os.Exit(1)
		}
	}()
	switch args := os.Args[1:]; {
	case len(args) == 3 && args[0] == "log":
		log := logIn{tree: args[1], facts: facts{Key: args[2]}}
		log.checkTiles(log.open(read(log.tree, "checkpoint")))
		log.checkEntries()
	case len(args) == 3 && args[0] == "proof":
		entry, err := checkReceipt(read("", args[1]), verifier(args[2]))
		must(err)
		say("%s", entry)
	case len(args) == 2 && args[0] == "key":
		private, verifier, err := note.GenerateKey(rand.Reader, args[1])
		must(err)
		must(json.NewEncoder(os.Stdout).Encode(map[string]string{"private": private, "verifier": verifier}))
	case len(args) == 2 && args[0] == "check":
		check(args[1])
	default:
		panic("usage: interop log DIR KEY | proof FILE KEY | key NAME | check DIR")
	}
}

func check(dir string) {
	var of facts
	must(json.Unmarshal(read(dir, "facts.json"), &of))
	log := logIn{dir: dir, tree: filepath.Join(dir, "1"), facts: of}
	log.checkKeys()
	log.checkNotes()
	log.checkTiles(log.old(), log.now())
	log.checkEntries()
	log.checkInclusion()
	log.checkConsistency()
	log.checkReceipts()
	log.checkTampered()
}

type logIn struct {
	dir string
	// The folder of its checkpoint and its tiles.
	tree string
	facts
}

func (log logIn) now() tlog.Tree { return log.open(read(log.tree, "checkpoint")) }

func (log logIn) old() tlog.Tree {
	tree := log.open(read(log.dir, "old-checkpoint"))
	demand(tree.N == log.OldSize, "the old size is %d", tree.N)
	return tree
}

// open gives the tree of a checkpoint that the key of the log has signed.
func (log logIn) open(checkpoint []byte) tlog.Tree {
	known := verifier(log.Key)
	origin, tree, err := openCheckpoint(checkpoint, known)
	must(err)
	demand(origin == known.Name(), "the origin is %q", origin)
	return tree
}

// tiles reads the tree by the tiles of the log, each of which is checked against the root.
func (log logIn) tiles() tlog.HashReader {
	return tlog.TileHashReader(log.now(), tileFiles{dir: log.tree})
}

func verifier(key string) note.Verifier {
	known, err := note.NewVerifier(key)
	must(err)
	return known
}

func read(dir, name string) []byte {
	bytes, err := os.ReadFile(filepath.Join(dir, name))
	must(err)
	return bytes
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func demand(holds bool, format string, args ...any) {
	if !holds {
		panic(fmt.Sprintf(format, args...))
	}
}

func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }
