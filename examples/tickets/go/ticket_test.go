package main

import (
	"encoding/json"
	"errors"
	"os"
	"testing"
)

type vectors struct {
	Valid []struct {
		Code         string
		TicketID     string `json:"ticket_id"`
		ShowtimeID   string `json:"showtime_id"`
		Seat         string
		StartSeconds int64  `json:"start_seconds"`
		TicketType   string `json:"ticket_type"`
		IsCutOff     bool   `json:"ticket_type_is_cut_off"`
	}
	Forgeries []struct{ Name, Code string }
}

func load(t *testing.T) (*verifier, vectors) {
	t.Helper()
	file, err := os.ReadFile("../vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var read vectors
	if err := json.Unmarshal(file, &read); err != nil {
		t.Fatal(err)
	}
	cinema, err := newVerifier(file) // it reads only the keys
	if err != nil {
		t.Fatal(err)
	}
	return cinema, read
}

func TestValidCodes(t *testing.T) {
	cinema, read := load(t)
	if len(read.Valid) < 8 {
		t.Fatal("there are too few valid codes")
	}
	for _, each := range read.Valid {
		found, err := cinema.verify(each.Code)
		if err != nil {
			t.Errorf("%s: %v", each.Seat, err)
			continue
		}
		if found.ticketID != each.TicketID || found.showtimeID != each.ShowtimeID || found.seat != each.Seat ||
			found.start.Unix() != each.StartSeconds || found.ticketType != each.TicketType ||
			found.typeIsCutOff != each.IsCutOff {
			t.Errorf("%+v is not %+v", found, each)
		}
	}
}

func TestForgeries(t *testing.T) {
	cinema, read := load(t)
	if len(read.Forgeries) < 40 {
		t.Fatal("there are too few forgeries")
	}
	for _, each := range read.Forgeries {
		if _, err := cinema.verify(each.Code); !errors.Is(err, errForged) {
			t.Errorf("%s: admitted", each.Name)
		}
	}
}

func TestWithoutKeysNothingIsAdmitted(t *testing.T) {
	_, read := load(t)
	cinema, err := newVerifier([]byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cinema.verify(read.Valid[0].Code); !errors.Is(err, errForged) {
		t.Error("admitted")
	}
}
