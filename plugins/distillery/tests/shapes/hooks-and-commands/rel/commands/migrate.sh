release_ctl eval 'Shop.Migrate.run()'
