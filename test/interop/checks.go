package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// checkKeys shows that both sides take the keys that the other one makes. Ed25519 signs alike each time, so notes can be compared.
func (log logIn) checkKeys() {
	signer, err := note.NewSigner(log.Private)
	must(err)
	written := read(log.tree, "checkpoint")
	opened, err := note.Open(written, note.VerifierList(verifier(log.Key)))
	must(err)
	signed, err := note.Sign(&note.Note{Text: opened.Text}, signer)
	must(err)
	first, _, _ := bytes.Cut(written, []byte("\n\n"))
	end := len(first) + 2 + bytes.IndexByte(written[len(first)+2:], '\n') + 1
	demand(bytes.Equal(signed, written[:end]), "note.Sign gives another note with the same key")
	_, err = note.Open(read(log.dir, "by-go-key"), note.VerifierList(verifier(log.GoKey)))
	must(err)
	say("keys: note.NewSigner takes a TRAIL_KEY and signs the same note; a TRAIL_KEY by note.GenerateKey signs what note.Open accepts")
}

func (log logIn) checkNotes() {
	demand(log.old().N < log.now().N && log.now().N == log.Size, "the size is %d", log.now().N)
	text := read(log.tree, "checkpoint")
	seen, err := newWitness(log.Witness)
	must(err)
	opened, err := note.Open(text, note.VerifierList(verifier(log.Key), seen))
	must(err)
	demand(len(opened.Sigs) == 2 && len(opened.UnverifiedSigs) == 0, "%d signatures are good", len(opened.Sigs))
	_, err = note.Open(text, note.VerifierList(verifier(log.Other)))
	demand(err != nil, "a key of the same name opens the checkpoint")
	say("notes: note.Open accepts the checkpoints at %d and %d and the cosignature", log.OldSize, log.Size)
}

func (log logIn) checkTiles(trees ...tlog.Tree) {
	for _, tree := range trees {
		root, err := tlog.TreeHash(tree.N, log.tiles())
		must(err)
		demand(root == tree.Hash, "the tiles give another root at %d", tree.N)
	}
	tiles := tlog.NewTiles(8, 0, log.now().N)
	for _, tile := range tiles {
		_, err := tileFiles{dir: log.tree}.tile(tile)
		must(err)
		data, err := tlog.ReadTileData(tile, log.tiles())
		must(err)
		demand(len(data) == tile.W*tlog.HashSize, "%s is short", tile.Path())
	}
	for _, tree := range trees {
		say("tiles: the %d hash tiles lead to the root that is signed at %d", len(tiles), tree.N)
	}
}

func (log logIn) checkEntries() {
	size, count := log.now().N, int64(0)
	for _, tile := range tlog.NewTiles(8, 0, size) {
		if tile.L > 0 {
			continue
		}
		hashes, err := tileFiles{dir: log.tree}.tile(tile)
		must(err)
		path := strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1)
		entries, err := entriesOf(read(log.tree, path))
		must(err)
		demand(len(entries) == tile.W, "%s has %d entries", path, len(entries))
		for place, entry := range entries {
			hash := tlog.RecordHash(entry)
			demand(bytes.Equal(hash[:], hashes[place*tlog.HashSize:(place+1)*tlog.HashSize]), "entry %d of %s", place, path)
			count++
		}
	}
	demand(count == size, "there are %d entries", count)
	say("entries: tlog.RecordHash of all %d entries is what their tiles hold", count)
}

func (log logIn) checkInclusion() {
	tree := log.now()
	for _, one := range log.Inclusion {
		made, err := tlog.ProveRecord(tree.N, one.Index, log.tiles())
		must(err)
		demand(slices.Equal(made, tlog.RecordProof(one.Proof)), "tlog.ProveRecord gives another proof for %d", one.Index)
		must(tlog.CheckRecord(one.Proof, tree.N, tree.Hash, one.Index, log.leaf(one.Index)))
	}
	say("inclusion: tlog.CheckRecord accepts %d proofs, and tlog.ProveRecord makes the same", len(log.Inclusion))
}

func (log logIn) leaf(index int64) tlog.Hash {
	hashes, err := log.tiles().ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
	must(err)
	return hashes[0]
}

func (log logIn) rootAt(size int64) tlog.Hash {
	root, err := tlog.TreeHash(size, log.tiles())
	must(err)
	return root
}

func (log logIn) checkConsistency() {
	tree := log.now()
	for _, one := range log.Consistency {
		made, err := tlog.ProveTree(tree.N, one.OldSize, log.tiles())
		must(err)
		demand(slices.Equal(made, tlog.TreeProof(one.Proof)), "tlog.ProveTree gives another proof from %d", one.OldSize)
		must(tlog.CheckTree(one.Proof, tree.N, tree.Hash, one.OldSize, log.rootAt(one.OldSize)))
	}
	say("consistency: tlog.CheckTree accepts %d proofs, and tlog.ProveTree makes the same", len(log.Consistency))
}

func (log logIn) checkReceipts() {
	for _, name := range log.Receipts {
		_, err := checkReceipt(read(log.dir, name), verifier(log.Key))
		must(err)
	}
	say("receipts: %d proof files prove their entries by the key alone", len(log.Receipts))
}

// checkTampered changes one thing at a time. What is accepted then, is a fault.
func (log logIn) checkTampered() {
	count := 0
	refused := func(err error, format string, args ...any) {
		demand(err != nil, "accepted: "+format, args...)
		count++
	}
	key := verifier(log.Key)
	tree := log.now()

	checkpoint := read(log.tree, "checkpoint")
	firstLine := bytes.Index(checkpoint, []byte("\n\n")) + 2
	for _, at := range []int{0, len(tree.Hash.String()) / 2, firstLine - 3, firstLine - 20} {
		_, _, err := openCheckpoint(flip(checkpoint, at), key)
		refused(err, "a checkpoint with byte %d flipped", at)
	}
	for _, at := range []int{4, 35, 67} {
		_, _, err := openCheckpoint(inSignature(checkpoint, at), key)
		refused(err, "a checkpoint with byte %d of its signature flipped", at)
	}
	larger := strings.Replace(string(checkpoint), fmt.Sprintf("\n%d\n", log.Size), fmt.Sprintf("\n%d\n", log.Size+1), 1)
	_, _, err := openCheckpoint([]byte(larger), key)
	refused(err, "a checkpoint with another size")
	_, _, err = openCheckpoint(checkpoint, verifier(log.Other))
	refused(err, "another key")
	_, _, err = openCheckpoint(read(log.dir, "by-go-key"), key)
	refused(err, "a note of another key")

	// The first and the last tile of each level, in which a byte differs or another tile stands.
	first := map[int]tlog.Tile{}
	for _, tile := range tlog.NewTiles(8, 0, log.Size) {
		if _, known := first[tile.L]; !known {
			first[tile.L] = tile
		}
		if tile.N > 2 && tile.W == 256 {
			continue
		}
		path := "tile/" + strings.TrimPrefix(tile.Path(), "tile/8/")
		for _, at := range []int{0, tile.W*tlog.HashSize/2 + 1, tile.W*tlog.HashSize - 1} {
			refused(log.readWith(tile, path, func(bytes []byte) []byte { return flip(bytes, at) }), "%s with byte %d flipped", path, at)
		}
		if tile.W == 256 && tile.N > 0 {
			other, err := tileFiles{dir: log.tree}.tile(first[tile.L])
			must(err)
			refused(log.readWith(tile, path, func([]byte) []byte { return other }), "another tile for %s", path)
		}
	}

	for _, one := range log.Inclusion {
		leaf := log.leaf(one.Index)
		for step := range one.Proof {
			proof := slices.Clone(one.Proof)
			proof[step][one.Index%32] ^= 1
			refused(tlog.CheckRecord(proof, tree.N, tree.Hash, one.Index, leaf), "step %d of the proof of %d", step, one.Index)
		}
		root := tree.Hash
		root[31] ^= 1
		refused(tlog.CheckRecord(one.Proof, tree.N, root, one.Index, leaf), "another root")
		refused(tlog.CheckRecord(one.Proof, tree.N, tree.Hash, one.Index^1, leaf), "the index beside %d", one.Index)
		refused(tlog.CheckRecord(one.Proof[1:], tree.N, tree.Hash, one.Index, leaf), "a proof of %d that is cut", one.Index)
		refused(tlog.CheckRecord(one.Proof, tree.N, tree.Hash, one.Index, tlog.RecordHash([]byte("another"))), "another entry")
	}
	for _, one := range log.Consistency {
		old := log.rootAt(one.OldSize)
		for step := range one.Proof {
			proof := slices.Clone(one.Proof)
			proof[step][step%32] ^= 1
			refused(tlog.CheckTree(proof, tree.N, tree.Hash, one.OldSize, old), "step %d of the proof from %d", step, one.OldSize)
		}
		old[0] ^= 1
		refused(tlog.CheckTree(one.Proof, tree.N, tree.Hash, one.OldSize, old), "another old root at %d", one.OldSize)
	}
	for _, name := range log.Receipts {
		receipt := read(log.dir, name)
		for at := 0; at < len(receipt); at += 1 + len(receipt)/40 {
			entry, err := checkReceipt(flip(receipt, at), key)
			// The line of a witness, and what base64 leaves over, prove nothing and are not looked at.
			if err == nil && isBehindSignature(receipt, at) {
				continue
			}
			refused(err, "%s with byte %d flipped, for %q", name, at, entry)
		}
		_, err := checkReceipt(receipt, verifier(log.Other))
		refused(err, "%s with another key", name)
	}
	say("tampered: %d changes are refused", count)
}

// readWith reads all hashes of a tile from tiles of which that one is changed.
func (log logIn) readWith(tile tlog.Tile, path string, change func([]byte) []byte) error {
	reader := tlog.TileHashReader(log.now(), tileFiles{dir: log.tree, change: func(name string, bytes []byte) []byte {
		if name == path {
			return change(bytes)
		}
		return bytes
	}})
	_, err := tlog.ReadTileData(tile, reader)
	return err
}

// flip gives a copy with the lowest bit of a byte flipped.
func flip(text []byte, at int) []byte {
	changed := slices.Clone(text)
	changed[at] ^= 1
	return changed
}

// inSignature flips a bit in what the first signature line encodes.
func inSignature(text []byte, at int) []byte {
	body, lines, _ := strings.Cut(string(text), "\n\n")
	first, rest, _ := strings.Cut(lines, "\n")
	words := strings.Split(first, " ")
	payload, err := base64.StdEncoding.DecodeString(words[2])
	must(err)
	words[2] = base64.StdEncoding.EncodeToString(flip(payload, at))
	return []byte(body + "\n\n" + strings.Join(words, " ") + "\n" + rest)
}

// isBehindSignature tells whether a byte of a receipt stands behind the signature of the log.
func isBehindSignature(receipt []byte, at int) bool {
	start := bytes.LastIndex(receipt, []byte("\n\n")) + 2
	end := start + bytes.IndexByte(receipt[start:], '\n')
	return at >= end-2
}
