raise "a package's own configuration is never read"
