package main

import (
	"bufio"
	"fmt"
	"os"
	"time"
)

// Reads the answer of ListTicketKeys from a file and codes from standard input, one a line, and says for each whether
// it admits to a showtime. Whether the ticket is void, or was shown before, only the server or the door's list knows.
func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: ticketcheck KEYS.json SHOWTIME_ID <codes")
		os.Exit(2)
	}
	answer, err := os.ReadFile(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	cinema, err := newVerifier(answer)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		found, err := cinema.verify(lines.Text())
		switch {
		case err != nil:
			fmt.Println("FORGED")
		case found.showtimeID != os.Args[2]:
			fmt.Println("WRONG SHOWTIME", found.showtimeID)
		default:
			fmt.Println("ADMIT", found.seat, found.ticketType, found.start.Format(time.RFC3339), found.ticketID)
		}
	}
}
