package main

// Root certificates for systems that have none, such as an image from scratch.
// Where the system has some, these are not looked at.
import _ "golang.org/x/crypto/x509roots/fallback"
