from spark.job import main

raise SystemExit(main())
