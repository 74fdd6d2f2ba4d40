module pan123

go 1.24
