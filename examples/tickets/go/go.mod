module example.com/ticketcheck

go 1.21
