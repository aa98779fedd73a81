// Checks the codes of tickets offline, with the public keys of ListTicketKeys alone. See docs/tickets.md.
package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

const (
	alphabet       = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
	typeCharacters = "\x00abcdefghijklmnopqrstuvwxyz0123456789-~"
	context        = "cinema.v1 ticket\x00"
	version        = 2
	fixedBytes     = 42
	mostTypeBytes  = 12
)

var typePattern = regexp.MustCompile(`^[a-z][a-z0-9-]*~?$`)

// errForged is what every code gets that this cinema did not issue.
var errForged = errors.New("forged")

// ticket is what a code says.
type ticket struct {
	ticketID, showtimeID, seat string
	// start is the start of the showtime when the ticket was issued. It may have been moved since.
	start      time.Time
	ticketType string
	// typeIsCutOff tells that ticketType is only the beginning of a longer one.
	typeIsCutOff bool
}

// key is one of ListTicketKeys, as JSON has it.
type key struct {
	Kid, Kty, Crv, Alg, X string
}

// verifier checks codes with the keys of a cinema.
type verifier struct {
	byID map[string][]ed25519.PublicKey
}

// newVerifier takes the keys from the answer of ListTicketKeys as JSON: {"keys": [...]}.
func newVerifier(answer []byte) (*verifier, error) {
	var listed struct{ Keys []key }
	if err := json.Unmarshal(answer, &listed); err != nil {
		return nil, err
	}
	byID := map[string][]ed25519.PublicKey{}
	for _, each := range listed.Keys {
		if each.Kty != "OKP" || each.Crv != "Ed25519" || each.Alg != "EdDSA" {
			continue
		}
		thumbprint, err := base64.RawURLEncoding.DecodeString(each.Kid)
		if err != nil || len(thumbprint) < 2 {
			return nil, fmt.Errorf("kid %q is malformed", each.Kid)
		}
		public, err := base64.RawURLEncoding.DecodeString(each.X)
		if err != nil || len(public) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("key %q is malformed", each.Kid)
		}
		id := string(thumbprint[:2])
		byID[id] = append(byID[id], ed25519.PublicKey(public))
	}
	return &verifier{byID}, nil
}

// verify returns what a code says, or errForged. The code must be exactly as it was scanned.
func (v *verifier) verify(code string) (ticket, error) {
	data, err := decodeBase45(code)
	if err != nil || len(data) <= fixedBytes+ed25519.SignatureSize {
		return ticket{}, errForged
	}
	content, signature := data[:len(data)-ed25519.SignatureSize], data[len(data)-ed25519.SignatureSize:]
	for _, public := range v.byID[string(content[4:6])] {
		if ed25519.Verify(public, append([]byte(context), content...), signature) {
			return readContent(content)
		}
	}
	return ticket{}, errForged
}

func readContent(content []byte) (ticket, error) {
	packed := content[fixedBytes:]
	if content[0] != version || len(packed)%2 != 0 || len(packed) > mostTypeBytes {
		return ticket{}, errForged
	}
	seat := int(content[1])<<16 | int(content[2])<<8 | int(content[3])
	row, number := seat/1000, seat%1000
	if row < 1 || row > 702 || number == 0 {
		return ticket{}, errForged
	}
	ticketType, err := unpackType(packed)
	if err != nil {
		return ticket{}, err
	}
	return ticket{
		ticketID:     uuid(content[6:22]),
		showtimeID:   uuid(content[22:38]),
		seat:         fmt.Sprintf("%s%d", rowLabel(row), number),
		start:        time.Unix(int64(binary.BigEndian.Uint32(content[38:42])), 0).UTC(),
		ticketType:   strings.TrimSuffix(ticketType, "~"),
		typeIsCutOff: strings.HasSuffix(ticketType, "~"),
	}, nil
}

// rowLabel returns A for 1, Z for 26, AA for 27 and ZZ for 702.
func rowLabel(row int) string {
	tens, ones := (row-1)/26, (row-1)%26
	label := string(rune('A' + ones))
	if tens > 0 {
		label = string(rune('A'+tens-1)) + label
	}
	return label
}

// unpackType returns the three characters in each two bytes.
func unpackType(packed []byte) (string, error) {
	var text strings.Builder
	for i := 0; i < len(packed); i += 2 {
		value := int(packed[i])<<8 | int(packed[i+1])
		for _, digit := range []int{value / 1600, value / 40 % 40, value % 40} {
			if digit >= len(typeCharacters) {
				return "", errForged
			}
			text.WriteByte(typeCharacters[digit])
		}
	}
	name := strings.TrimRight(text.String(), "\x00")
	if text.Len()-len(name) > 2 || !typePattern.MatchString(name) {
		return "", errForged
	}
	return name, nil
}

func decodeBase45(text string) ([]byte, error) {
	if len(text)%3 != 0 {
		return nil, errForged
	}
	var data []byte
	for i := 0; i < len(text); i += 3 {
		value, weight := 0, 1
		for _, character := range []byte(text[i : i+3]) {
			digit := strings.IndexByte(alphabet, character)
			if digit < 0 {
				return nil, errForged
			}
			value += digit * weight
			weight *= 45
		}
		if value > 0xFFFF {
			return nil, errForged
		}
		data = append(data, byte(value>>8), byte(value))
	}
	return data, nil
}

func uuid(b []byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}
