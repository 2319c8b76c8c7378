package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// What sumdb does not have: the checkpoints, tile paths, bundles, cosignatures and proof files of C2SP.

// openCheckpoint reads a C2SP tlog-checkpoint that one of the verifiers has signed.
func openCheckpoint(text []byte, known ...note.Verifier) (origin string, tree tlog.Tree, err error) {
	opened, err := note.Open(text, note.VerifierList(known...))
	if err != nil {
		return "", tree, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 {
		return "", tree, errors.New("no checkpoint")
	}
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return "", tree, err
	}
	tree.Hash, err = tlog.ParseHash(lines[2])
	return lines[0], tree, err
}

// tileFiles reads a C2SP tile tree: tile/8/L/N of sumdb is tile/L/N there.
type tileFiles struct {
	dir string
	// change makes other bytes of a tile.
	change func(path string, bytes []byte) []byte
}

func (files tileFiles) Height() int { return 8 }

func (files tileFiles) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		bytes, err := files.tile(tile)
		if err != nil {
			return nil, err
		}
		all = append(all, bytes)
	}
	return all, nil
}

func (files tileFiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (files tileFiles) tile(tile tlog.Tile) ([]byte, error) {
	path := "tile/" + strings.TrimPrefix(tile.Path(), "tile/8/")
	bytes, err := os.ReadFile(filepath.Join(files.dir, path))
	if err != nil {
		return nil, err
	}
	if files.change != nil {
		bytes = files.change(path, bytes)
	}
	if len(bytes) != tile.W*tlog.HashSize {
		return nil, fmt.Errorf("%s has %d bytes", path, len(bytes))
	}
	return bytes, nil
}

// entriesOf reads a bundle: the length of each entry stands before it.
func entriesOf(bundle []byte) (entries [][]byte, err error) {
	for len(bundle) > 0 {
		if len(bundle) < 2 {
			return nil, errors.New("a bundle ends early")
		}
		end := 2 + int(binary.BigEndian.Uint16(bundle))
		if len(bundle) < end {
			return nil, errors.New("a bundle ends early")
		}
		entries = append(entries, bundle[2:end])
		bundle = bundle[end:]
	}
	return entries, nil
}

// witness checks C2SP cosignatures, whose keys have the type 4.
type witness struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func newWitness(text string) (note.Verifier, error) {
	parts := strings.SplitN(text, "+", 3)
	if len(parts) != 3 {
		return nil, errors.New("no verifier key")
	}
	key, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(key) != 1+ed25519.PublicKeySize || key[0] != 4 {
		return nil, errors.New("no key of a witness")
	}
	sum := sha256.Sum256(append([]byte(parts[0]+"\n"), key...))
	if fmt.Sprintf("%x", sum[:4]) != parts[1] {
		return nil, errors.New("the id is of another key")
	}
	return witness{parts[0], binary.BigEndian.Uint32(sum[:4]), key[1:]}, nil
}

func (w witness) Name() string    { return w.name }
func (w witness) KeyHash() uint32 { return w.hash }
func (w witness) Verify(body, signature []byte) bool {
	if len(signature) != 8+ed25519.SignatureSize {
		return false
	}
	text := fmt.Sprintf("cosignature/v1\ntime %d\n%s", binary.BigEndian.Uint64(signature), body)
	return ed25519.Verify(w.key, []byte(text), signature[8:])
}

// checkReceipt checks a C2SP tlog-proof by the key alone, and gives its entry.
func checkReceipt(text []byte, known note.Verifier) ([]byte, error) {
	head, checkpoint, _ := strings.Cut(string(text), "\n\n")
	lines := strings.Split(head, "\n")
	if len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return nil, errors.New("no proof file")
	}
	// Strict: otherwise two spellings would be one proof.
	entry, err := base64.StdEncoding.Strict().DecodeString(strings.TrimPrefix(lines[1], "extra "))
	if err != nil {
		return nil, err
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	if err != nil {
		return nil, err
	}
	var proof tlog.RecordProof
	for _, line := range lines[3:] {
		hash, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(hash) != tlog.HashSize {
			return nil, errors.New("no hash in the proof")
		}
		proof = append(proof, tlog.Hash(hash))
	}
	origin, tree, err := openCheckpoint([]byte(checkpoint), known)
	if err != nil {
		return nil, err
	}
	if origin != known.Name() {
		return nil, errors.New("another log")
	}
	if index < 0 || index >= tree.N {
		return nil, errors.New("no such entry")
	}
	return entry, tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry))
}
